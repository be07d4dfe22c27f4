"""The configuration of a Vision Transformer, the table of variants, and what they cost.

Sources: ViT paper (arXiv 2010.11929) table 1 for B, L, H; DeiT (2012.12877) table 1 for Ti, S; Scaling ViT
(2106.04560) table 2 for g "giant" and G "gigantic", which in that paper have no [CLS] but keep it here.
"""

import difflib
from dataclasses import dataclass, replace

from .ranges import real, shown, whole

# Far beyond any Vision Transformer there is: more is a mistake, or an attempt to fill memory.
LARGEST = {"patch_size": 4_096, "width": 65_536, "num_layers": 1_000, "mlp_width": 1_048_576, "num_heads": 65_536,
           "num_classes": 10_000_000}
LARGEST_SIDE = 4_096                # pixels
MOST_PATCHES = 65_536
EPS = (1e-20, 1.0)                  # with less, the root of float32 zeros plus eps could not be divided by


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
        for name, most in LARGEST.items():
            whole(name, getattr(self, name), 0 if name == "num_classes" else 1, most)
        if not isinstance(self.class_token, bool):
            raise ValueError(f"class_token is True or False, found {shown(self.class_token)}")
        for name, choices in (("pool", ("cls", "mean")), ("position", ("learned", "sincos2d", "none")),
                              ("gelu", ("erf", "tanh"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}, found {shown(getattr(self, name))}")
        if self.width % self.num_heads:
            raise ValueError(f"num_heads must divide the width: {self.width} channels do not split "
                             f"into {self.num_heads} heads")
        object.__setattr__(self, "layer_norm_eps", real("layer_norm_eps", self.layer_norm_eps, *EPS))
        if self.pool == "cls" and not self.class_token:
            raise ValueError('pool "cls" reads the [CLS] token: set class_token=True, or pool="mean"')
        size = self.image_size
        sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        if len(sides) != 2 or not all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides):
            raise ValueError("image_size is a number of pixels or (height, width), each a whole number from 1 to "
                             f"{LARGEST_SIDE:,}, found {shown(size)}")
        if sides[0] % self.patch_size or sides[1] % self.patch_size:
            raise ValueError(f"image_size {sides[0]} x {sides[1]} cannot be cut into patches of {self.patch_size} x "
                             f"{self.patch_size}: choose sides that {self.patch_size} divides")
        if sides[0] // self.patch_size * (sides[1] // self.patch_size) > MOST_PATCHES:
            raise ValueError(f"image_size {sides[0]} x {sides[1]} makes more than {MOST_PATCHES:,} patches of "
                             f"{self.patch_size} x {self.patch_size}: choose a smaller one")
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


def trace_count(config: ViTConfig) -> int:
    """How many numbers the trace of one image holds, all steps together (T: patches and [CLS]; one norm is pooled)."""
    D, H, M, K = config.width, config.num_heads, config.mlp_width, config.num_classes
    N, T = config.num_patches, config.num_tokens
    height, width = config.height_width
    start = height * width * 3 + N * config.patch_size ** 2 * 3 + N * D + 2 * T * D
    layer = 9 * T * D + 2 * H * T * T + T * M
    end = (T if config.pool == "cls" else 1) * D + D + 2 * K
    return start + config.num_layers * layer + end


def macs(config: ViTConfig | str) -> int:
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
