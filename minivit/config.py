"""The configuration of a Vision Transformer, the table of variants, and what they cost.

Sources: ViT paper (arXiv 2010.11929) table 1 for B, L, H; DeiT (2012.12877) table 1 for Ti, S; Scaling ViT
(2106.04560) table 2 for g "giant" and G "gigantic", which in that paper have no [CLS] but keep it here.
"""

import difflib
import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ViTConfig:
    """What a ViT is made of. Raises ValueError where the parts do not fit together.

    image_size: pixels, one number for squares or (height, width). pool: "cls" or "mean".
    position: "learned", "sincos2d" or "none". gelu: "erf" or "tanh". num_classes: 0 for a model without head.
    """

    patch_size: int = 16
    width: int = 768
    num_layers: int = 12
    mlp_width: int = 3072
    num_heads: int = 12
    num_classes: int = 1000
    image_size: int | tuple[int, int] = 224
    pool: str = "cls"
    class_token: bool = True
    position: str = "learned"
    gelu: str = "erf"
    layer_norm_eps: float = 1e-6

    def __post_init__(self):
        counts = ("patch_size", "width", "num_layers", "mlp_width", "num_heads")
        for name in counts:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is a whole number from 1 on, found {value!r}")
        if not isinstance(self.num_classes, int) or isinstance(self.num_classes, bool) or self.num_classes < 0:
            raise ValueError(f"num_classes is a whole number, 0 for no head, found {self.num_classes!r}")
        for name, choices in (("pool", ("cls", "mean")), ("position", ("learned", "sincos2d", "none")),
                              ("gelu", ("erf", "tanh"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}, found {getattr(self, name)!r}")
        if self.width % self.num_heads:
            raise ValueError(f"num_heads must divide the width: {self.width} channels do not split "
                             f"into {self.num_heads} heads")
        if not 0 < self.layer_norm_eps < math.inf:
            raise ValueError(f"layer_norm_eps is a small positive number, found {self.layer_norm_eps!r}")
        if self.pool == "cls" and not self.class_token:
            raise ValueError('pool "cls" reads the [CLS] token: set class_token=True, or pool="mean"')
        size = self.image_size
        sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        if len(sides) != 2 or not all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in sides):
            raise ValueError(f"image_size is a number of pixels or (height, width), found {size!r}")
        if sides[0] % self.patch_size or sides[1] % self.patch_size:
            raise ValueError(f"image_size {sides[0]} x {sides[1]} cannot be cut into patches of {self.patch_size} x "
                             f"{self.patch_size}: choose sides that {self.patch_size} divides")
        object.__setattr__(self, "image_size", sides[0] if sides[0] == sides[1] else sides)

    @property
    def height_width(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size, self.image_size)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches."""
        height, width = self.height_width
        return height // self.patch_size, width // self.patch_size

    @property
    def num_patches(self) -> int:
        """N."""
        return self.grid[0] * self.grid[1]

    @property
    def num_tokens(self) -> int:
        """T: the patches, and [CLS] where there is one."""
        return self.num_patches + self.class_token


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

VARIANTS: dict[str, ViTConfig] = {name: ViTConfig(*row) for name, row in _TABLE.items()}


def variant_name(config):
    """The name in VARIANTS of a config's patch, width, depth, MLP width and heads, or None."""
    sizes = (config.patch_size, config.width, config.num_layers, config.mlp_width, config.num_heads)
    return next((name for name, row in _TABLE.items() if row == sizes), None)


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


def parameter_count(config: ViTConfig | str) -> int:
    """How many numbers training adjusts: patch + [CLS] + positions + L layers + final norm + head.

    config: a ViTConfig, or a variant's name, "B/16". Raises ValueError for an unknown name.
    """
    config = as_config(config)
    D, M, K, T = config.width, config.mlp_width, config.num_classes, config.num_tokens
    patch = config.patch_size ** 2 * 3 * D + D
    cls = D if config.class_token else 0
    positions = T * D if config.position == "learned" else 0
    attention = (D * 3 * D + 3 * D) + (D * D + D)
    mlp = (D * M + M) + (M * D + D)
    norms = 2 * 2 * D
    head = D * K + K if K else 0
    return patch + cls + positions + config.num_layers * (attention + mlp + norms) + 2 * D + head


def macs(config: ViTConfig) -> int:
    """Multiply-adds of the matrix products in one forward pass of one image (1 MAC = 2 FLOP).

    patches: N P²C D;  a layer: T (4D² + 2DM) for its linear maps and 2T²D for q kᵀ and A v;  head: D K.
    config: a ViTConfig, or a variant's name, "B/16". Raises ValueError for an unknown name.
    """
    config = as_config(config)
    N, T = config.num_patches, config.num_tokens
    D, M = config.width, config.mlp_width
    patches = N * config.patch_size ** 2 * 3 * D
    layer = T * (4 * D * D + 2 * D * M) + 2 * T * T * D
    return patches + config.num_layers * layer + D * config.num_classes
