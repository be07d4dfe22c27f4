"""What timm's modules say beside their weights, and where to ask: a module, config.json, or the convention."""

from ..errors import CheckpointError
from . import module_settings, timm_config
from .reading_out import pool_of

CONVENTION = {"layer_norm_eps": 1e-6, "gelu": "erf"}


def settings(source, sizes, places):
    """(fields of ViTConfig, labels). Raises CheckpointError."""
    if source.module is not None:
        return CONVENTION | _of_module(source.module, source, places), None
    config = timm_config.of(source)
    if config is None:
        return CONVENTION, None
    return CONVENTION | timm_config.fields(config, source, places), timm_config.labels(
        config, sizes["num_classes"], source.label)


def cls_row(source):
    """Whether the table of positions has a row for [CLS]: True, False, or None where nothing tells."""
    if source.module is not None:
        return not getattr(source.module, "no_embed_class", False)
    config = timm_config.of(source)
    return None if config is None else timm_config.cls_row(config, source.label)


def preprocessing(source, config):
    """From pretrained_cfg, with timm's defaults; without one, the published recipe for the model's resolution."""
    about = getattr(source.module, "pretrained_cfg", None) or (timm_config.of(source) or {}).get("pretrained_cfg")
    if about:
        return timm_config.preprocessing(about, f"{source.label}: its pretrained_cfg")
    source.assumed.append("preprocessing as most of timm's ViTs have it (mean and std 0.5, bicubic)")
    return timm_config.usual_preprocessing(config)


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
              "pool": pool_of(source.label, getattr(module, "global_pool", "token"), places),
              "pool_prefix": bool(getattr(module, "pool_include_prefix", False))}
    size = getattr(module.patch_embed, "img_size", None)
    if size is not None:
        fields["image_size"] = tuple(size) if isinstance(size, (tuple, list)) else size
    return fields
