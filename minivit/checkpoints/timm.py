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

SECTIONS = ("cls_token", "dist_token", "reg_token", "pos_embed", "patch_embed.proj", "norm_pre", "norm", "fc_norm",
            "attn_pool.latent", "attn_pool.q", "attn_pool.kv", "attn_pool.proj", "attn_pool.norm", "attn_pool.mlp.fc1",
            "attn_pool.mlp.fc2", "head", "head_dist")
LAYER_SECTIONS = ("norm1", "attn.qkv", "attn.proj", "ls1", "norm2", "mlp.fc1", "mlp.fc2", "ls2")
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


def resamples(source):
    """Whether a table of another size than config.json says is resampled, as timm does it when it loads weights."""
    return source.module is None


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
    """Flat {timm name: NumPy array in timm's shape} of a model's weights, or of grads nested like its params.

    They are views of a CPU model's own arrays: copy what is to be changed.
    """
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

    def linear(name, n_in, n_out, bias=True):
        return {f"{name}.weight": (n_out, n_in)} | ({f"{name}.bias": (n_out,)} if bias else {})

    def norm(name):
        return {f"{name}.weight": (D,), f"{name}.bias": (D,)}

    def scale(name):
        return {f"{name}.gamma": (D,)} if config.layer_scale else {}

    def mlp(name, gates=1):
        return linear(f"{name}.fc1", D, gates * M) | linear(f"{name}.fc2", M, D)

    shapes = {name: (1, count, D) for name, count in (
        ("cls_token", int(config.class_token)), ("dist_token", int(config.dist_token)),
        ("reg_token", config.registers)) if count}
    if config.has_position_table:
        shapes["pos_embed"] = (1, config.position_rows, D)
    shapes["patch_embed.proj.weight"] = (D, 3, P, P)
    if config.patch_bias:
        shapes["patch_embed.proj.bias"] = (D,)
    if config.norm_pre:
        shapes |= norm("norm_pre")
    layer = (norm("norm1") | linear("attn.qkv", D, 3 * D, config.qkv_bias) | linear("attn.proj", D, D) | scale("ls1")
             | norm("norm2") | mlp("mlp", 1 + config.gated_mlp) | scale("ls2"))
    for i in range(config.num_layers):
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in layer.items()}
    shapes |= norm(norm_name(config.pool))
    if config.pool == "map":
        shapes |= {"attn_pool.latent": (1, 1, D)} | linear("attn_pool.q", D, D) | linear("attn_pool.kv", D, 2 * D)
        shapes |= linear("attn_pool.proj", D, D) | norm("attn_pool.norm") | mlp("attn_pool.mlp")
    for name in ("head", "head_dist") if config.pool == "distilled" else ("head",):
        shapes |= linear(name, D, K) if K else {}
    return shapes
