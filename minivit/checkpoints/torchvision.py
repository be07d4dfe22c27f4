"""torchvision's names. q, k and v are the one in_proj of nn.MultiheadAttention; the MLP is mlp.0 and mlp.3, or in older
files mlp.linear_1 and mlp.linear_2.
"""

from ..images.preparation import Preprocessing
from .naming import expand
from .pytorch_layout import file_shape, patch_size, to_ours  # noqa: F401 - part of a format's interface

NAME = "torchvision"
RESAMPLE = "torchvision"
SIGNS = ("encoder.layers.encoder_layer_", "conv_proj.", "encoder.pos_embedding")
IGNORED = {}
BEFORE_HEAD = r"heads\.pre_logits\."

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
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def matches(names):
    """Whether these are torchvision's names."""
    return any(name.startswith(SIGNS) for name in names)


def name_map(names):
    """{minivit's name: (torchvision's, …)}."""
    layer = LAYER | OLD_MLP if any(".mlp.linear_1." in name for name in names) else LAYER
    return expand(NAMES, layer, r"encoder\.layers\.encoder_layer_(\d+)\.", names)


def settings(source, sizes):
    """What the convention, or a module, says: (fields of ViTConfig, Preprocessing, labels)."""
    fields = {"layer_norm_eps": 1e-6, "gelu": "erf"}
    if source.module is not None:
        from .module_settings import gelu_form
        layer = source.module.encoder.layers[0]
        fields |= {"num_heads": layer.self_attention.num_heads, "layer_norm_eps": layer.ln_1.eps,
                   "gelu": gelu_form(layer.mlp[1])}
    return fields, _preprocessing(sizes), None


def _preprocessing(sizes):
    """The published recipes: V1 at 224 pixels covers 256 (L/16: 242) and crops; SWAG, larger, resizes to the crop."""
    if sizes.get("image_size", 224) != 224:
        return Preprocessing(**IMAGENET, crop_fraction=1.0, interpolation="bicubic")
    covered = 242 if (sizes["width"], sizes["patch_size"]) == (1024, 16) else 256
    return Preprocessing(**IMAGENET, crop_fraction=224 / covered, interpolation="bilinear")
