"""The table of variants: the lesson's, and the relatives that changed a part.

Sources: ViT paper (arXiv 2010.11929) table 1 for B, L, H; DeiT (2012.12877) table 1 for Ti, S; Scaling ViT
(2106.04560) table 2 for g "giant" and G "gigantic", which in that paper have attention pooling in place of [CLS]: here
g/14 and G/14 keep [CLS], as in timm, and those with MAP in their names are the paper's. The relatives as timm and
transformers build them: DeiT (2012.12877), DINOv2 (2304.07193) and its registers (2309.16588), MAE (2111.06377), CLIP
(2103.00020), SigLIP (2303.15343).
"""

import difflib
from dataclasses import replace

from .config import ViTConfig

#               P     D   L     M   H
_TABLE = {
    "Ti/16":   (16,  192, 12,  768,  3),
    "S/32":    (32,  384, 12, 1536,  6),
    "S/16":    (16,  384, 12, 1536,  6),
    "B/32":    (32,  768, 12, 3072, 12),
    "B/16":    (16,  768, 12, 3072, 12),
    "B/8":     ( 8,  768, 12, 3072, 12),
    "L/32":    (32, 1024, 24, 4096, 16),
    "L/16":    (16, 1024, 24, 4096, 16),
    "H/14":    (14, 1280, 32, 5120, 16),
    "g/14":    (14, 1408, 40, 6144, 16),
    "G/14":    (14, 1664, 48, 8192, 16),
}

PLAIN: dict[str, ViTConfig] = {name: ViTConfig(*row) for name, row in _TABLE.items()}


def _like(name, **changes):
    return replace(PLAIN[name], **changes)


_DISTILLED = {"dist_token": True, "pool": "distilled"}
_DINOV2 = {"patch_size": 14, "image_size": 518, "num_classes": 0, "layer_scale": True}
_REGISTERS = _DINOV2 | {"registers": 4, "prefix_positions": False}
_GIANT = {"width": 1536, "num_heads": 24, "mlp_width": 4096, "gated_mlp": True}
_MAE = {"position": "fixed", "num_classes": 0}
_CLIP = {"norm_pre": True, "patch_bias": False, "layer_norm_eps": 1e-5, "gelu": "quick", "num_classes": 0}
_MAP = {"class_token": False, "pool": "map"}
_SIGLIP = _MAP | {"gelu": "tanh", "num_classes": 0}

RELATIVES: dict[str, ViTConfig] = {
    "DeiT-Ti/16 distilled": _like("Ti/16", **_DISTILLED),
    "DeiT-S/16 distilled": _like("S/16", **_DISTILLED),
    "DeiT-B/16 distilled": _like("B/16", **_DISTILLED),
    "DINOv2-S/14": _like("S/16", **_DINOV2),
    "DINOv2-B/14": _like("B/16", **_DINOV2),
    "DINOv2-L/14": _like("L/16", **_DINOV2),
    "DINOv2-g/14": _like("g/14", **_DINOV2 | _GIANT),
    "DINOv2-S/14 registers": _like("S/16", **_REGISTERS),
    "DINOv2-B/14 registers": _like("B/16", **_REGISTERS),
    "DINOv2-L/14 registers": _like("L/16", **_REGISTERS),
    "DINOv2-g/14 registers": _like("g/14", **_REGISTERS | _GIANT),
    "MAE-B/16": _like("B/16", **_MAE),
    "MAE-L/16": _like("L/16", **_MAE),
    "MAE-H/14": _like("H/14", **_MAE),
    "CLIP-B/32": _like("B/32", **_CLIP),
    "CLIP-B/16": _like("B/16", **_CLIP),
    "CLIP-L/14": _like("L/16", patch_size=14, **_CLIP),
    "SigLIP-B/16": _like("B/16", **_SIGLIP),
    "SigLIP-L/16": _like("L/16", image_size=256, **_SIGLIP),
    "SigLIP-So400m/14": ViTConfig(14, 1152, 27, 4304, 16, **_SIGLIP),
    "g/14 MAP": _like("g/14", **_MAP),
    "G/14 MAP": _like("G/14", **_MAP),
}

VARIANTS: dict[str, ViTConfig] = PLAIN | RELATIVES

# What makes a relative. Classes, image size, eps and GELU's form differ from one set of a variant's weights to another.
_FAMILY = ("patch_size", "width", "num_layers", "mlp_width", "num_heads", "dist_token", "registers", "norm_pre",
           "layer_scale", "gated_mlp")


def variant_name(config):
    """The name in VARIANTS of a config's patch, width, depth, MLP width, heads and further parts, or None."""
    def family(c):
        return [getattr(c, name) for name in _FAMILY] + [c.pool == "map", c.position == "fixed"]

    return next((name for name, variant in VARIANTS.items() if family(variant) == family(config)), None)


def as_config(variant_or_config, **changes):
    """A ViTConfig from a variant's name or a config, with changes. Raises ValueError for an unknown name or field."""
    if isinstance(variant_or_config, ViTConfig):
        config = variant_or_config
    elif isinstance(variant_or_config, str) and variant_or_config in VARIANTS:
        config = VARIANTS[variant_or_config]
    else:
        near = difflib.get_close_matches(str(variant_or_config), VARIANTS, 1, cutoff=0.8)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(f"unknown variant {variant_or_config!r}{hint}: choose one of {', '.join(VARIANTS)}, "
                         f"or give a minivit.ViTConfig")
    unknown = [name for name in changes if name not in ViTConfig.__dataclass_fields__]
    if unknown:
        raise ValueError(f"ViTConfig has no field {unknown[0]!r}: it has {', '.join(ViTConfig.__dataclass_fields__)}")
    return replace(config, **changes)
