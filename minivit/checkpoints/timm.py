"""timm's names and shapes, which are minivit's too: params nested under them, linear weights turned from (out, in).

timm stores a linear weight as (out, in) and the patch kernel as (D, C, P, P); minivit stores (in, out) and (P²C, D).
Under average pooling the final norm comes after the pooling and is called fc_norm.
"""

import numpy as np

from ..engine.devices import to_device
from ..errors import CheckpointError
from ..head import norm_name
from ..images.preparation import FILTERS, Preprocessing
from ..model import VisionTransformer
from ..trees import flatten
from ..types import Params
from .naming import BARE, expand

NAME = "timm"
RESAMPLE = "timm"
SIGNS = ("patch_embed.proj.", "blocks.", "pos_embed")
IGNORED = {}
BEFORE_HEAD = r"pre_logits\."

SECTIONS = ("cls_token", "pos_embed", "patch_embed.proj", "norm", "fc_norm", "head")
LAYER_SECTIONS = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
NAMES = {name: name if name in BARE else f"{name}." for name in SECTIONS}
LAYER = {name: f"blocks.{{i}}.{name}." for name in LAYER_SECTIONS}


def matches(names):
    """Whether these are timm's names."""
    return any(name.startswith(SIGNS) for name in names)


def name_map(names):
    """{minivit's name: (timm's,)}: the same."""
    return expand(NAMES, LAYER, r"blocks\.(\d+)\.", names)


def settings(source, sizes):
    """What the convention, a module or config.json say: (fields of ViTConfig, Preprocessing, labels)."""
    fields, about, labels = {"layer_norm_eps": 1e-6, "gelu": "erf"}, {}, None
    if source.module is not None:
        fields |= _module_fields(source.module)
        about = getattr(source.module, "pretrained_cfg", None) or {}
    elif "pretrained_cfg" in source.settings.get("config.json", {}):
        config = source.settings["config.json"]
        about = config["pretrained_cfg"]
        labels = config.get("label_names", about.get("label_names"))
        fields |= {"gelu": "tanh"} if "gelu_tanh" in str(config.get("model_args", "")) else {}
    return fields, _preprocessing(about, sizes), labels


def _module_fields(module):
    """Heads, eps, GELU form and grid of a timm VisionTransformer. Raises CheckpointError for what minivit has not."""
    from .module_settings import gelu_form
    block = module.blocks[0]
    if getattr(module, "global_pool", "token") != "token" and not hasattr(module.fc_norm, "weight"):
        raise CheckpointError(f"the timm module pools by {module.global_pool!r} after its final norm; minivit reads "
                              "[CLS], or the mean before the norm (timm's fc_norm)")
    fields = {"num_heads": block.attn.num_heads, "layer_norm_eps": block.norm1.eps, "gelu": gelu_form(block.mlp.act)}
    if getattr(module.patch_embed, "grid_size", None):
        patch = module.patch_embed.patch_size
        fields["image_size"] = tuple(n * p for n, p in zip(module.patch_embed.grid_size, patch))
    return fields


def _preprocessing(about, sizes):
    """Preprocessing from a pretrained_cfg; where it says nothing, the published recipe for the model's resolution."""
    small = np.max(sizes.get("image_size", 224)) <= 256
    interpolation = about.get("interpolation", "bicubic")
    return Preprocessing(mean=tuple(about.get("mean", (0.5, 0.5, 0.5))), std=tuple(about.get("std", (0.5, 0.5, 0.5))),
                         resize="stretch" if about.get("crop_mode") == "squash" else "crop",
                         crop_fraction=about.get("crop_pct") or (0.9 if small else 1.0),
                         interpolation=interpolation if interpolation in FILTERS else "bicubic")


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
