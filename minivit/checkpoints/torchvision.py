"""torchvision's names. q, k and v are the one in_proj of nn.MultiheadAttention; the MLP is mlp.0 and mlp.3, or in older
files mlp.linear_1 and mlp.linear_2.
"""

from ..errors import CheckpointError
from ..images.preparation import Preprocessing, fraction_of
from ..variants import VARIANTS
from . import module_settings
from .naming import expand, head_stem
from .pytorch_layout import file_shape, patch_size, to_ours  # noqa: F401 - part of a format's interface

NAME = "torchvision"
RESAMPLE = "torchvision"
SIGNS = ("encoder.layers.encoder_layer_", "conv_proj.", "encoder.pos_embedding")
IGNORED = {}
BEFORE_HEAD = r"heads\.pre_logits\."
HEAD = r"heads\.(head\.)?(\d+\.)?"

NAMES = {
    "cls_token": "class_token",
    "pos_embed": "encoder.pos_embedding",
    "patch_embed.proj": "conv_proj.",
    "norm": "encoder.ln.",
    "head": "heads.head.",
}
LAYER = {
    "norm1": "encoder.layers.encoder_layer_{i}.ln_1.",
    "attn.qkv": "encoder.layers.encoder_layer_{i}.self_attention.in_proj_",
    "attn.proj": "encoder.layers.encoder_layer_{i}.self_attention.out_proj.",
    "norm2": "encoder.layers.encoder_layer_{i}.ln_2.",
    "mlp.fc1": "encoder.layers.encoder_layer_{i}.mlp.0.",
    "mlp.fc2": "encoder.layers.encoder_layer_{i}.mlp.3.",
}
OLD_MLP = {"mlp.fc1": "encoder.layers.encoder_layer_{i}.mlp.linear_1.",
           "mlp.fc2": "encoder.layers.encoder_layer_{i}.mlp.linear_2."}
PARTS = ("width", "num_layers", "mlp_width", "patch_size")
SWAG = (("B/16", 384), ("L/16", 512), ("H/14", 518), ("H/14", 224))     # sizes that have but one recipe
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def matches(names):
    """Whether these are torchvision's names."""
    return any(name.startswith(SIGNS) for name in names)


def name_map(names):
    """{minivit's name: (torchvision's, …)}."""
    layer = LAYER | OLD_MLP if any(".mlp.linear_1." in name for name in names) else LAYER
    head = {"head": head_stem(names, HEAD) or NAMES["head"]}
    return expand(NAMES | head, layer, r"encoder\.layers\.encoder_layer_(\d+)\.", names)


def cls_row(source):
    """The table of positions has a row for [CLS]."""
    return True


def settings(source, sizes, places):
    """What the convention, or a module, says: (fields of ViTConfig, labels). Raises CheckpointError."""
    fields = {"layer_norm_eps": 1e-6, "gelu": "erf"}
    module = source.module
    if module is None:
        return fields, None
    layers = list(module.encoder.layers)
    module_settings.check_head(module.heads)
    norms = [norm for layer in layers for norm in (layer.ln_1, layer.ln_2)] + [module.encoder.ln]
    return fields | {
        "num_heads": module_settings.same((layer.self_attention.num_heads for layer in layers), "num_heads"),
        "layer_norm_eps": module_settings.same_eps(norms), "image_size": module.image_size,
        "gelu": module_settings.same((module_settings.gelu_form(_activation(layer.mlp)) for layer in layers), "GELU"),
    }, None


def _activation(mlp):
    """The activation between the two linear maps."""
    if len(mlp) < 2:
        raise CheckpointError(f"the module's MLP has {len(mlp)} parts, expected a linear map, GELU, and a linear map")
    return mlp[1]


def preprocessing(source, config):
    """The published recipe of the variant. Where it has two at this size, the file cannot tell which, and it is said.

    V1, trained on ImageNet at 224 pixels, covers 256 (L/16: 242) and crops; SWAG resizes to the crop.
    """
    size, name = max(config.height_width), variant_name(config)
    if size != 224 or name == "H/14":
        if (name, size) not in SWAG:
            source.assumed.append("preprocessing as torchvision's SWAG weights have it")
        return Preprocessing(**IMAGENET, crop_fraction=1.0, interpolation="bicubic")
    if name not in ("B/32", "L/32"):
        source.assumed.append("preprocessing of IMAGENET1K_V1 (weights of SWAG_LINEAR_V1 have "
                              'crop_fraction=1, interpolation="bicubic")')
    covered = 242 if name == "L/16" else 256
    return Preprocessing(**IMAGENET, crop_fraction=fraction_of(224, covered), interpolation="bilinear")


def variant_name(config):
    """"B/16" where the width, depth, MLP width and patch are a variant's, else None."""
    return next((name for name, row in VARIANTS.items()
                 if all(getattr(row, part) == getattr(config, part) for part in PARTS)), None)
