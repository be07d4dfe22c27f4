"""timm's names and shapes, which are minivit's too: params nested under them, linear weights turned from (out, in).

timm stores a linear weight as (out, in) and the patch kernel as (D, C, P, P); minivit stores (in, out) and (P²C, D).
"""

import re

import numpy as np

from ..backend import to_device
from ..errors import CheckpointError
from ..trees import flatten


def state_dict(model, grads=None):
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
    """One tensor of timm's in minivit's shape. Linear weights come as transposed views: nothing is copied."""
    if name == "patch_embed.proj.weight":
        return np.ascontiguousarray(tensor.transpose(2, 3, 1, 0)).reshape(-1, len(tensor))   # (P²C, D)
    return tensor.T if tensor.ndim == 2 else tensor                                      # (in, out)


def matches(tensors):
    """Whether these are timm's names."""
    return "patch_embed.proj.weight" in tensors


def sizes(tensors):
    """What the shapes tell of the config: all but heads, eps, GELU form and a non-square grid."""
    D, _, P, _ = tensors["patch_embed.proj.weight"].shape
    blocks = [int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d+)\.", name))]
    fields = {"patch_size": P, "width": D, "num_layers": max(blocks, default=-1) + 1,
              "mlp_width": len(tensors["blocks.0.mlp.fc1.bias"]),
              "num_classes": len(tensors["head.bias"]) if "head.bias" in tensors else 0,
              "class_token": "cls_token" in tensors,
              "pool": "mean" if "fc_norm.weight" in tensors else "cls",
              "position": "learned" if "pos_embed" in tensors else "none"}
    if "pos_embed" in tensors:
        side = round((tensors["pos_embed"].shape[1] - fields["class_token"]) ** 0.5)
        fields["image_size"] = side * P
    return fields


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
    norm = "norm" if config.pool == "cls" else "fc_norm"
    shapes |= {f"{norm}.weight": (D,), f"{norm}.bias": (D,)}
    if K:
        shapes |= {"head.weight": (K, D), "head.bias": (K,)}
    return shapes


def to_params(tensors, config, source):
    """Nested params from timm's tensors. Raises CheckpointError listing what is missing, unexpected or mis-shaped."""
    expected = expected_shapes(config)
    problems = [f"missing {name}" for name in expected if name not in tensors]
    problems += [f"unexpected {name}" for name in tensors if name not in expected]
    problems += [f"{name} has shape {tuple(tensors[name].shape)}, expected {shape}"
                 for name, shape in expected.items() if name in tensors and tuple(tensors[name].shape) != shape]
    if problems:
        more = f", and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(f"{source} does not fit a plain ViT: {'; '.join(problems[:5])}{more}")
    return nest({name: from_timm(name, tensors[name]) for name in expected})


def nest(flat):
    """{"blocks.0.norm1.weight": array} -> {"blocks": [{"norm1": {"weight": array}}]}: the inverse of trees.flatten."""
    tree = {}
    for name, array in flat.items():
        *path, last = name.split(".")
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[last] = array
    tree["blocks"] = [tree["blocks"][str(i)] for i in range(len(tree["blocks"]))]
    return tree
