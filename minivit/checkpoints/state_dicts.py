"""State dicts: {name: array or tensor}, at hand or in a file, alone or beside what a training script keeps with it.

Where several of a file's dicts hold a Vision Transformer (a student and a teacher, weights and their moving average)
none is preferred: `key` says which.
"""

import re
import sys
from collections.abc import Mapping

import numpy as np

from ..errors import CheckpointError
from .source import Source, first_few

# One tensor that every Vision Transformer has, its patch kernel, in each format's words; in OpenAI's CLIP [CLS].
PATCH_KERNEL = re.compile(r"(?:.*[./])?(?:patch_embed\.proj\.weight|embeddings\.patch_embeddings?(?:\.projection)?"
                          r"\.weight|conv_proj\.weight|embedding/kernel|class_embedding)")
DEEPEST = 4                 # how far down a file's dicts a state dict is looked for
TORCH_FLOATS = ("torch.float64", "torch.float32", "torch.float16")


def from_mapping(mapping, key=None):
    """The Source of a state dict at hand, of torch or NumPy, nested or flat. The weights are copied."""
    source = from_content(mapping, "the state dict", key)
    read = source.read

    def copied(name):
        return np.array(read(name))

    source.read = copied
    return source


def from_content(content, label, key=None, most=None):
    """The Source of the one state dict in what a file of `most` bytes, or the caller, holds. Raises CheckpointError."""
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{label} holds a {type(content).__name__}, expected a dict of tensors")
    path, tensors = _chosen(content, label, key)
    ignored = {name: "it is beside the state dict" for name in content if path and name != path[0]}
    ignored |= {name: "it is no tensor" for name, value in tensors.items() if not is_tensor(value)}
    tensors = {name: value for name, value in tensors.items() if is_tensor(value)}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        name, value = next(iter(content.items()))
        raise CheckpointError(f"{label}: {name!r} is a {type(value).__name__}, expected a dict of tensors: save the "
                              "model's state_dict()")

    claimed = sum(value.nbytes for value in tensors.values())
    if most is not None and claimed > most:
        raise CheckpointError(f"{label} claims {claimed:,} bytes of tensors, more than the file holds")

    def read(name):
        return as_array(tensors[name], f"{label}: {name}")

    wide = {str(value.dtype).removeprefix("torch.") for value in tensors.values()
            if "float" in str(value.dtype)} == {"float64"}
    return Source(label, {name: tuple(value.shape) for name, value in tensors.items()}, read,
                  dtype="float64" if wide else "float32", ignored={str(name): why for name, why in ignored.items()})


def _chosen(content, label, key):
    """(path to it, the state dict): the one with a patch kernel, or the one that key names."""
    dicts = dict(_dicts(content))
    fitting = {path: tensors for path, tensors in dicts.items() if _has_patch_kernel(tensors)}
    if not fitting:
        flat = dict(_flattened(content, ""))            # flax keeps a tree
        if _has_patch_kernel(flat):
            fitting = {(): flat}
    named = {".".join(path): path for path in fitting}
    if key is not None:
        if key not in named:
            raise CheckpointError(f"{label} holds no Vision Transformer under key={key!r}; it has one under "
                                  f"{first_few([repr(name) for name in named]) or 'no key'}")
        return named[key], fitting[named[key]]
    if len(fitting) > 1:
        raise CheckpointError(f"{label} holds a Vision Transformer under each of {', '.join(map(repr, named))}: say "
                              "which with key=… (on the command line --key)")
    if fitting:
        return next(iter(fitting.items()))
    return next(((path, tensors) for path, tensors in dicts.items() if any(map(is_tensor, tensors.values()))),
                ((), content))


def _dicts(content, path=()):
    """(path, dict) of this dict and of those in it, outer ones first."""
    yield path, content
    if len(path) < DEEPEST:
        for name, value in content.items():
            if isinstance(name, str) and isinstance(value, Mapping):
                yield from _dicts(value, (*path, name))


def _flattened(tree, prefix, depth=0):
    for name, value in tree.items():
        if isinstance(value, Mapping) and depth < 4 * DEEPEST:
            yield from _flattened(value, f"{prefix}{name}/", depth + 1)
        else:
            yield f"{prefix}{name}", value


def _has_patch_kernel(tensors):
    return any(isinstance(name, str) and PATCH_KERNEL.fullmatch(name) and is_tensor(value)
               for name, value in tensors.items())


def is_tensor(value):
    """Whether this is a torch tensor or an array; torch need not be imported to know."""
    if isinstance(value, np.ndarray):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return True
    return hasattr(value, "__array__") and hasattr(value, "shape") and not isinstance(value, np.generic)


def as_array(value, what):
    """A NumPy array of float16, float32 or float64 from a tensor or an array, which messages call `what`."""
    if hasattr(value, "is_floating_point"):
        if not value.is_floating_point() or str(value.layout) != "torch.strided" or value.is_meta:
            raise CheckpointError(f"{what} is {value.dtype}, {value.layout}, on {value.device}: expected plain floats")
        value = value.detach().cpu()
        return (value if str(value.dtype) in TORCH_FLOATS else value.float()).numpy()
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if array.dtype.kind != "f":
        raise CheckpointError(f"{what} is of dtype {array.dtype}, expected floats")
    return array
