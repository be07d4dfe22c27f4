"""The configuration of a Vision Transformer: the plain one's parts, and what its relatives change."""

from dataclasses import dataclass

from .ranges import real, shown, whole

# Far beyond any Vision Transformer there is: more is a mistake, or an attempt to fill memory.
LARGEST = {"patch_size": 4_096, "width": 65_536, "num_layers": 1_000, "mlp_width": 1_048_576, "num_heads": 65_536,
           "num_classes": 10_000_000, "registers": 1_000}
LARGEST_SIDE = 4_096                # pixels
MOST_PATCHES = 65_536
EPS = (1e-20, 1.0)                  # with less, the root of float32 zeros plus eps could not be divided by
CHOICES = {"pool": ("cls", "mean", "normed_mean", "map", "distilled"), "gelu": ("erf", "tanh", "quick"),
           "position": ("learned", "fixed", "sincos2d", "none")}
SWITCHES = ("class_token", "dist_token", "prefix_positions", "pool_prefix", "qkv_bias", "patch_bias", "norm_pre",
            "layer_scale", "gated_mlp")


@dataclass(frozen=True)
class ViTConfig:
    """What a ViT is made of. Raises ValueError where the parts do not fit together.

    image_size: pixels, one number for squares or (height, width). num_classes: 0 for a model without head.
    pool: "cls", "mean" over the patches before the final norm, "normed_mean" after it, "map" for attention pooling
    (attention_pooling.py), "distilled" for [CLS] and the distillation token (distillation.py). position: "learned",
    "fixed" for a table that is not trained, "sincos2d" or "none". gelu: "erf", "tanh" or "quick".

    The rest is what the relatives change, and the plain ViT has as it stands here. dist_token: DeiT's distillation
    token. registers: how many tokens of that name. prefix_positions: [CLS] and the distillation token have positions
    too. pool_prefix: means and attention pooling include the tokens before the patches. qkv_bias, patch_bias: the
    linear maps of q, k, v and of the patches have a bias. norm_pre: a LayerNorm before the first layer. layer_scale:
    layer_scale.py. gated_mlp: SwiGLU (swiglu.py) in place of GELU.
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
    dist_token: bool = False
    registers: int = 0
    prefix_positions: bool = True
    pool_prefix: bool = False
    qkv_bias: bool = True
    patch_bias: bool = True
    norm_pre: bool = False
    layer_scale: bool = False
    gated_mlp: bool = False

    def __post_init__(self):
        for name, most in LARGEST.items():
            whole(name, getattr(self, name), 0 if name in ("num_classes", "registers") else 1, most)
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is True or False, found {shown(getattr(self, name))}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}, found {shown(getattr(self, name))}")
        if self.width % self.num_heads:
            raise ValueError(f"num_heads must divide the width: {self.width} features do not split "
                             f"into {self.num_heads} heads")
        object.__setattr__(self, "layer_norm_eps", real("layer_norm_eps", self.layer_norm_eps, *EPS))
        if self.pool == "cls" and not self.class_token:
            raise ValueError('pool "cls" reads the [CLS] token: set class_token=True, or pool="mean"')
        if self.dist_token and not self.class_token:
            raise ValueError("the distillation token stands beside [CLS]: set class_token=True")
        if self.pool == "distilled" and not self.dist_token:
            raise ValueError('pool "distilled" reads the distillation token: set dist_token=True, or pool="cls"')
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
        """T: the patches and what stands before them."""
        return self.num_patches + self.num_prefix

    @property
    def num_prefix(self) -> int:
        """How many tokens stand before the patches: [CLS], distillation token, registers, in this order."""
        return self.class_token + self.dist_token + self.registers

    @property
    def first_pooled(self) -> int:
        """How many tokens stand before those that are pooled."""
        return 0 if self.pool_prefix else self.num_prefix

    @property
    def activation(self) -> str:
        """The MLP's: GELU's form, or "swiglu"."""
        return "swiglu" if self.gated_mlp else self.gelu

    @property
    def position_rows(self) -> int:
        """The rows of a table of positions: one per patch, [CLS] and distillation token. A register has no place."""
        return self.num_patches + self.prefix_positions * (self.class_token + self.dist_token)

    @property
    def has_position_table(self) -> bool:
        """Whether the positions are among the parameters."""
        return self.position in ("learned", "fixed")
