"""timm's names and shapes, which are minivit's too: params nested under them, linear weights turned from (out, in).

timm stores a linear weight as (out, in) and the patch kernel as (D, C, P, P); minivit stores (in, out) and (P²C, D).
Under average pooling the final norm comes after the pooling and is called fc_norm.
"""

import numpy as np

from ..engine.devices import to_device
from ..head import norm_name
from ..model import VisionTransformer
from ..trees import flatten
from ..types import Params
from . import timm_settings
from .naming import BARE, expand, head_stem

NAME = "timm"
RESAMPLE = "timm"
SIGNS = ("patch_embed.proj.", "blocks.", "pos_embed")
IGNORED = {}
BEFORE_HEAD = r"pre_logits\."
HEAD = r"head\.(\d+\.)?"

SECTIONS = ("cls_token", "pos_embed", "patch_embed.proj", "norm", "fc_norm", "head")
LAYER_SECTIONS = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
NAMES = {name: name if name in BARE else f"{name}." for name in SECTIONS}
LAYER = {name: f"blocks.{{i}}.{name}." for name in LAYER_SECTIONS}


def matches(names):
    """Whether these are timm's names."""
    return any(name.startswith(SIGNS) for name in names)


def name_map(names):
    """{minivit's name: (timm's,)}: the same."""
    return expand(NAMES | {"head": head_stem(names, HEAD) or NAMES["head"]}, LAYER, r"blocks\.(\d+)\.", names)


def cls_row(source):
    """Whether the table of positions has a row for [CLS]: True, False, or None where nothing tells (no_embed_class)."""
    return timm_settings.cls_row(source)


def settings(source, sizes, places):
    """What a module, config.json or the convention say: (fields of ViTConfig, labels). Raises CheckpointError."""
    return timm_settings.settings(source, sizes, places)


def preprocessing(source, config):
    """The pretrained_cfg's, else the published recipe. Raises CheckpointError for what minivit does not have."""
    return timm_settings.preprocessing(source, config)


def file_shape(name, shape, parts, config):
    """The shape in the file of minivit's `name`: `shape` itself."""
    return shape


def to_ours(name, arrays):
    """minivit's array from timm's."""
    return from_timm(name, arrays[0])


def patch_size(shape):
    """P from the shape of the patch kernel."""
    return shape[-1]


def state_dict(model: VisionTransformer, grads: Params | None = None) -> dict[str, np.ndarray]:
    """Flat {timm name: NumPy array in timm's shape} of a model's weights, or of grads nested like its params."""
    patch_size = model.config.patch_size
    tensors = flatten(model.params if grads is None else grads)
    return {name: to_timm(name, to_device(array, "cpu"), patch_size) for name, array in tensors.items()}


def to_timm(name, array, patch_size):
    """One array of params, or of its gradient, in timm's shape."""
    if name == "patch_embed.proj.weight":
        P = patch_size
        return array.reshape(P, P, -1, array.shape[-1]).transpose(3, 2, 0, 1)            # (D, C, P, P)
    return array.T if array.ndim == 2 else array                                         # (out, in)


def from_timm(name, tensor):
    """One tensor of timm's in minivit's shape, (in, out) in memory as well, which is what products read fastest."""
    if name == "patch_embed.proj.weight":
        return np.ascontiguousarray(tensor.transpose(2, 3, 1, 0)).reshape(-1, len(tensor))   # (P²C, D)
    return np.ascontiguousarray(tensor.T) if tensor.ndim == 2 else tensor                # (in, out)


def expected_shapes(config):
    """{name: shape} of every tensor of a model with this config, in timm's shapes and in the network's order."""
    D, M, K, P = config.width, config.mlp_width, config.num_classes, config.patch_size
    shapes = {}
    if config.class_token:
        shapes["cls_token"] = (1, 1, D)
    if config.position == "learned":
        shapes["pos_embed"] = (1, config.num_tokens, D)
    shapes |= {"patch_embed.proj.weight": (D, 3, P, P), "patch_embed.proj.bias": (D,)}
    for i in range(config.num_layers):
        layer = {"norm1.weight": (D,), "norm1.bias": (D,), "attn.qkv.weight": (3 * D, D), "attn.qkv.bias": (3 * D,),
                 "attn.proj.weight": (D, D), "attn.proj.bias": (D,), "norm2.weight": (D,), "norm2.bias": (D,),
                 "mlp.fc1.weight": (M, D), "mlp.fc1.bias": (M,), "mlp.fc2.weight": (D, M), "mlp.fc2.bias": (D,)}
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in layer.items()}
    norm = norm_name(config.pool)
    shapes |= {f"{norm}.weight": (D,), f"{norm}.bias": (D,)}
    if K:
        shapes |= {"head.weight": (K, D), "head.bias": (K,)}
    return shapes
