"""timm's config.json: model_args, what the model was made with, and pretrained_cfg, how its images were prepared.

What neither says is timm's default. Every argument of model_args is honoured, told by the tensors, or refused by name.
"""

import re

from ..errors import CheckpointError
from ..images.preparation import FILTERS, Preprocessing
from . import imagenet, json_values, timm_architectures
from .families import IMAGENET
from .reading_out import OF_MANY, pool_of, reads_both

GELU_FORMS = {"gelu": "erf", "gelu_tanh": "tanh", "quick_gelu": "quick"}
NORMS = ("layernorm", "layernormfp32")
# Told by the tensors, or of no effect on what the model computes once it is trained.
TOLD_BY_TENSORS = {"patch_size", "in_chans", "num_classes", "embed_dim", "depth", "mlp_ratio", "qkv_bias", "proj_bias",
                   "qk_norm", "init_values", "class_token", "pos_embed", "no_embed_class", "reg_tokens", "pre_norm",
                   "final_norm", "scale_attn_norm", "scale_mlp_norm"}
WITHOUT_EFFECT = {"drop_rate", "pos_drop_rate", "patch_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate",
                  "weight_init", "fix_init", "device", "dtype", "strict_img_size", "dynamic_img_size", "scriptable",
                  "exportable", "no_jit", "features_only", "use_naflex", "pretrained_strict"}
HONOURED = {"img_size", "num_heads", "act_layer", "norm_layer", "global_pool", "fc_norm", "pool_include_prefix"}
DEFAULT_CROP = 0.875
# The last data set of a tag such as augreg2_in21k_ft_in1k, beside a size, is the one whose classes the head names.
IMAGENET_TAG = re.compile(r"(^|_)in1k(_\d+)?$")


def of(source):
    """config.json where it is timm's, in its present or its first form, else None."""
    config = source.settings.get("config.json", {})
    if "pretrained_cfg" in config:
        return config
    return {**config, "pretrained_cfg": config} if "architecture" in config else None


def fields(config, source, places):
    """Fields from model_args first, then from pretrained_cfg. Raises CheckpointError."""
    where = f"{source.label}: config.json"
    about, args = (json_values.table(config, key, where) for key in ("pretrained_cfg", "model_args"))
    args = {name: value for name, value in args.items() if value is not None}
    odd = sorted(set(args) - TOLD_BY_TENSORS - WITHOUT_EFFECT - HONOURED)
    if odd:
        raise CheckpointError(f"{where}: model_args has {odd[0]} {str(args[odd[0]])[:60]!r}, which a plain ViT does "
                              "not have")
    found = {}
    architecture = json_values.text(config, "architecture", where, "")
    other = timm_architectures.other_layers(architecture)
    if other is not None:
        raise CheckpointError(f"{where}: architecture {architecture[:60]!r} has {other}, which minivit does not have")
    heads = json_values.whole(args, "num_heads", where, timm_architectures.heads(architecture))
    if heads is not None:
        found["num_heads"] = heads
    activation = json_values.text(args, "act_layer", where, timm_architectures.activation(architecture))
    if activation not in GELU_FORMS:
        raise CheckpointError(f"{where}: act_layer {activation[:60]!r} is no GELU that minivit has: "
                              f"{', '.join(GELU_FORMS)}")
    norm = json_values.text(args, "norm_layer", where, "layernorm").replace("_", "").lower()
    if norm not in NORMS:
        raise CheckpointError(f"{where}: norm_layer {norm[:60]!r} is no LayerNorm")
    found |= {"gelu": GELU_FORMS[activation], "layer_norm_eps": timm_architectures.eps(architecture)}
    found |= _parts(args, architecture, where)
    # The global_pool beside pretrained_cfg is for information, but it describes these very weights.
    pool = next((json_values.text(part, "global_pool", where) for part in (args, about, config)
                 if part.get("global_pool") is not None), "token" if reads_both(places) else None)
    if pool is not None:
        found["pool"] = pool_of(source.label, pool, places)
        with_prefix = json_values.truth(args, "pool_include_prefix", where, False)
        found["pool_prefix"] = with_prefix and found["pool"] in OF_MANY
    size = json_values.sides(args, "img_size", where)
    if size is None and about.get("input_size") is not None:
        channels_first = about["input_size"]
        if not isinstance(channels_first, list) or len(channels_first) != 3:
            raise CheckpointError(f"{where}: input_size is {str(channels_first)[:60]!r}, expected [3, height, width]")
        size = json_values.sides({"input_size": channels_first[1:]}, "input_size", where)
    return found | ({} if size is None else {"image_size": size})


def _parts(args, architecture, where):
    """The parts that model_args, or else the architecture's name, say the model has or has not."""
    found = {"qkv_bias": json_values.truth(args, "qkv_bias", where, timm_architectures.has_qkv_bias(architecture)),
             "registers": 0, "class_token": json_values.truth(args, "class_token", where),
             "norm_pre": json_values.truth(args, "pre_norm", where)}
    if args.get("reg_tokens") != 0:
        found["registers"] = json_values.whole(args, "reg_tokens", where, timm_architectures.registers(architecture))
    if "init_values" in args:
        found["layer_scale"] = bool(args["init_values"])
    return {name: value for name, value in found.items() if value is not None}


def cls_row(config, label):
    """Whether the table of positions has a row for [CLS], by no_embed_class, or None where nothing tells."""
    where = f"{label}: config.json"
    usual = timm_architectures.has_no_prefix_positions(json_values.text(config, "architecture", where, ""))
    without = json_values.truth(json_values.table(config, "model_args", where), "no_embed_class", where, usual)
    return None if without is None else not without


def labels(config, num_classes, label):
    """The classes' names, or None; ImageNet-1k's where the tag says that they are its. Raises CheckpointError."""
    names = config.get("label_names", config["pretrained_cfg"].get("label_names"))
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise CheckpointError(f"{label}: config.json: label_names is no list of names")
    tag = json_values.text(config["pretrained_cfg"], "tag", f"{label}: config.json", "")
    if names is None and num_classes == imagenet.NUM_CLASSES and IMAGENET_TAG.search(tag):
        return imagenet.labels()
    return names


def usual_preprocessing(config):
    """The recipe of most of timm's ViTs at this resolution."""
    return Preprocessing(crop_fraction=0.9 if max(config.height_width) <= 256 else 1.0)


def preprocessing(about, where):
    """Preprocessing of a pretrained_cfg, with timm's defaults. Raises CheckpointError for what minivit lacks."""
    about = about if isinstance(about, dict) else vars(about)
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
