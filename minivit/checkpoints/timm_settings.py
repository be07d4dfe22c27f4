"""What timm's modules and config.json say beside the weights.

config.json has model_args, what the model was made with, and pretrained_cfg, how its images were prepared; what neither
says is timm's default. Every argument of model_args is honoured, told by the tensors, or refused by name.
"""

from ..errors import CheckpointError
from ..images.preparation import FILTERS, Preprocessing
from . import json_values, module_settings
from .reading_out import pool_of

GELU_FORMS = {"gelu": "erf", "gelu_tanh": "tanh"}
NORMS = ("layernorm", "layernormfp32")
# Told by the tensors, or of no effect on what the model computes once it is trained.
TOLD_BY_TENSORS = {"patch_size", "in_chans", "num_classes", "embed_dim", "depth", "mlp_ratio", "qkv_bias", "proj_bias",
                   "qk_norm", "init_values", "class_token", "pos_embed", "no_embed_class", "reg_tokens", "pre_norm",
                   "final_norm", "scale_attn_norm", "scale_mlp_norm"}
WITHOUT_EFFECT = {"drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate",
                  "weight_init", "fix_init", "device", "dtype", "strict_img_size", "dynamic_img_size", "scriptable",
                  "exportable", "no_jit", "features_only", "use_naflex", "pretrained_strict"}
HONOURED = {"img_size", "num_heads", "act_layer", "norm_layer", "global_pool", "fc_norm", "pool_include_prefix"}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
DEFAULT_CROP = 0.875


def settings(source, sizes, places):
    """(fields of ViTConfig, labels). Raises CheckpointError."""
    fields = {"layer_norm_eps": 1e-6, "gelu": "erf"}
    if source.module is not None:
        return fields | _of_module(source.module, source, places), None
    config = _config(source)
    if config is None:
        return fields, None
    return fields | _of_config(config, source, sizes, places), _labels(config, source.label)


def cls_row(source):
    """Whether the table of positions has a row for [CLS]: True, False, or None where nothing tells."""
    if source.module is not None:
        return not getattr(source.module, "no_embed_class", False)
    config = _config(source)
    if config is None:
        return None
    without = json_values.truth(json_values.table(config, "model_args", source.label), "no_embed_class", source.label)
    return None if without is None else not without


def _of_module(module, source, places):
    """Fields of a timm VisionTransformer, or of a class that follows it (DINO's, MAE's)."""
    first, blocks = module.blocks[0], list(module.blocks)
    if type(module).__module__.startswith("timm."):
        for part, expected in ((first, "Block"), (first.attn, "Attention")):
            if type(part).__name__ != expected:
                raise CheckpointError(f"{source.label} has layers of timm's {type(part).__name__}, which compute "
                                      f"something else than its {expected}")
    else:
        source.assumed.append(f"that {type(module).__name__} computes as timm's VisionTransformer does")
    heads = module_settings.same((block.attn.num_heads for block in blocks), "num_heads")
    scale = getattr(first.attn, "scale", None)
    if isinstance(scale, float) and abs(scale * (module.embed_dim / heads) ** 0.5 - 1) > 1e-6:
        raise CheckpointError(f"{source.label} scales its scores by {scale:.6g}, expected 1/√d")
    fc_norm = "fc_norm.weight" in places
    norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
    norms.append(module.fc_norm if fc_norm else module.norm)
    if getattr(module, "head", None) is not None:
        module_settings.check_head(module.head)
    fields = {"num_heads": heads, "layer_norm_eps": module_settings.same_eps(norms),
              "gelu": module_settings.same((module_settings.gelu_form(block.mlp.act) for block in blocks), "GELU"),
              "pool": pool_of(source.label, getattr(module, "global_pool", "token"), fc_norm, "cls_token" in places,
                              getattr(module, "pool_include_prefix", False))}
    size = getattr(module.patch_embed, "img_size", None)
    if size is not None:
        fields["image_size"] = tuple(size) if isinstance(size, (tuple, list)) else size
    return fields


def _config(source):
    """config.json where it is timm's, in its present or its first form, else None."""
    config = source.settings.get("config.json", {})
    if "pretrained_cfg" in config:
        return config
    return {**config, "pretrained_cfg": config} if "architecture" in config else None


def _of_config(config, source, sizes, places):
    """Fields from model_args first, then from pretrained_cfg. Raises CheckpointError."""
    where = f"{source.label}: config.json"
    about, args = (json_values.table(config, key, where) for key in ("pretrained_cfg", "model_args"))
    args = {name: value for name, value in args.items() if value is not None}
    odd = sorted(set(args) - TOLD_BY_TENSORS - WITHOUT_EFFECT - HONOURED)
    if odd:
        raise CheckpointError(f"{where}: model_args has {odd[0]} {str(args[odd[0]])[:60]!r}, which a plain ViT does "
                              "not have")
    fields = {}
    if "num_heads" in args:
        fields["num_heads"] = json_values.whole(args, "num_heads", where)
    architecture = json_values.text(config, "architecture", where, "")
    activation = json_values.text(args, "act_layer", where, "quick_gelu" if "quickgelu" in architecture else "gelu")
    if activation not in GELU_FORMS:
        raise CheckpointError(f"{where}: act_layer {activation[:60]!r} is no GELU that minivit has: "
                              f"{', '.join(GELU_FORMS)}")
    norm = json_values.text(args, "norm_layer", where, "layernorm").replace("_", "").lower()
    if norm not in NORMS:
        raise CheckpointError(f"{where}: norm_layer {norm[:60]!r} is no LayerNorm")
    fields["gelu"] = GELU_FORMS[activation]
    # The global_pool beside pretrained_cfg is for information, but it describes these very weights.
    pool = next((json_values.text(part, "global_pool", where) for part in (args, about, config)
                 if part.get("global_pool") is not None), None)
    if pool is not None:
        prefixed = json_values.truth(args, "pool_include_prefix", where, False)
        fields["pool"] = pool_of(source.label, pool, "fc_norm.weight" in places, "cls_token" in places, prefixed)
    size = json_values.sides(args, "img_size", where)
    if size is None and about.get("input_size") is not None:
        channels_first = about["input_size"]
        if not isinstance(channels_first, list) or len(channels_first) != 3:
            raise CheckpointError(f"{where}: input_size is {str(channels_first)[:60]!r}, expected [3, height, width]")
        size = json_values.sides({"input_size": channels_first[1:]}, "input_size", where)
    return fields | ({} if size is None else {"image_size": size})


def _labels(config, label):
    """The classes' names, or None. Raises CheckpointError."""
    names = config.get("label_names", config["pretrained_cfg"].get("label_names"))
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise CheckpointError(f"{label}: config.json: label_names is no list of names")
    return names


def preprocessing(source, config):
    """From pretrained_cfg, with timm's defaults; without one, the published recipe for the model's resolution."""
    about = getattr(source.module, "pretrained_cfg", None) or (_config(source) or {}).get("pretrained_cfg")
    if not about:
        source.assumed.append("preprocessing as most of timm's ViTs have it (mean and std 0.5, bicubic)")
        return Preprocessing(crop_fraction=0.9 if max(config.height_width) <= 256 else 1.0)
    about = about if isinstance(about, dict) else vars(about)
    where = f"{source.label}: its pretrained_cfg"
    mode = json_values.text(about, "crop_mode", where) or "center"
    if mode not in ("center", "squash"):
        raise CheckpointError(f"{where}: crop_mode {mode[:60]!r} pads the image, which minivit does not do: give "
                              "preprocessing=…")
    interpolation = json_values.text(about, "interpolation", where) or "bicubic"
    if interpolation not in FILTERS:
        raise CheckpointError(f"{where}: interpolation {interpolation[:60]!r}, expected one of {', '.join(FILTERS)}")
    fraction = json_values.number(about, "crop_pct", where, DEFAULT_CROP, smallest=0.01, largest=1.0)
    return Preprocessing(mean=json_values.colours(about, "mean", where, IMAGENET["mean"]),
                         std=json_values.colours(about, "std", where, IMAGENET["std"]), crop_fraction=fraction,
                         resize="crop" if mode == "center" else "stretch" if fraction == 1 else "stretch_crop",
                         interpolation=interpolation)
