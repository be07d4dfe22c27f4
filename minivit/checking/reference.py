"""The other side of a comparison: opened, whatever it is, and its arrays in the shapes that our steps have."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..checkpoints import google, loading, npz_file, torch_file
from ..model import VisionTransformer
from ..tracing import trace
from .verdict import GRADIENT

PREPARED = ("pixels", "patches")                        # patches are the pixels in another order


def open_reference(reference, model):
    """(label, arrays or None, VisionTransformer or torch module or None)."""
    if isinstance(reference, Mapping):
        return "the arrays given", {name: np.asarray(array) for name, array in reference.items()}, None
    if isinstance(reference, VisionTransformer):
        return reference.name or "the other model", None, _same_size(reference.to("cpu").astype("float64"), model)
    if torch_file.is_module(reference):
        return f"the torch module {type(reference).__name__}", None, reference
    if isinstance(reference, (str, Path)) and Path(reference).is_file() and npz_file.is_npz(reference):
        source = npz_file.open_source(reference)
        if not google.matches(source.shapes):
            return str(reference), {name: source.read(name) for name in source.shapes}, None
    other = loading.load(reference, dtype="float64")
    if other.config.height_width != model.config.height_width:
        other = loading.load(reference, dtype="float64", image_size=model.config.image_size)
    return str(reference), None, other


def _same_size(other, model):
    if other.config.height_width != model.config.height_width:
        raise ValueError(f"the models read images of {model.config.height_width} and {other.config.height_width} "
                         "pixels: load one with image_size=…")
    return other


def pixels_of(model, image, arrays):
    """The prepared pixels (B, H, W, 3) that both sides get."""
    if image is None and arrays and "pixels" in arrays:
        x = np.asarray(arrays["pixels"], np.float64)
        height, width = model.config.height_width
        if x.ndim != 4 or x.shape[1:] != (height, width, 3):
            raise ValueError(f'the reference\'s "pixels" have the shape {x.shape}, expected (B, {height}, {width}, 3)')
        return x
    if image is None:
        from ..samples import CAT
        image = CAT
    return model.prepare(image)


def steps_of(other, x, dy, model):
    """A model's or a torch module's steps and, where dy is given, gradients, in timm's names and shapes."""
    from .gradients import gradients_of
    if isinstance(other, VisionTransformer):
        return trace(other, x) | (gradients_of(other, x, dy) if dy is not None else {})
    from ..checkpoints.timm import to_timm
    from .torch_tracing import torch_trace
    steps, grads = torch_trace(other, x, dy)
    P = model.config.patch_size
    return steps | {GRADIENT + name: to_timm(name, a, P) if name != "pixels" else a for name, a in grads.items()}


def dtype_of(arrays):
    """"float16", "float32" or "float64": the least exact of the arrays, whatever they were stored as afterwards.

    Numbers that all are float32's were computed in it. Pixels are always prepared so, and tell nothing beside others.
    """
    steps = [a for name, a in arrays.items() if name not in PREPARED]
    dtypes = {str(a.dtype) for a in steps or arrays.values()}
    told = next((dtype for dtype in ("float16", "float32") if dtype in dtypes), "float64")
    computed = [np.asarray(a, np.float64) for a in steps]
    with np.errstate(over="ignore"):
        narrow = any(a.size for a in computed) and all(np.array_equal(a.astype(np.float32), a, equal_nan=True)
                                                       for a in computed)
    return "float32" if narrow and told == "float64" else told


def stored_in(arrays):
    """{"pixels": "float16"}: what the pixels and the patches are given in, where that is less than float64."""
    dtypes = {name: str(arrays[name].dtype) for name in PREPARED if name in arrays}
    return {name: dtype for name, dtype in dtypes.items() if dtype in ("float16", "float32")}


def fitted(theirs, ours):
    """The reference's arrays, each in the shape of our step where it holds the same numbers in another one.

    Patches may stand as a grid, channels or features first or last; heads side by side or behind the tokens; a batch of
    one image without its axis, or a token without its two; the final norm for the [CLS] token alone.
    """
    theirs = dict(theirs)
    if "norm" in theirs and theirs["norm"].ndim == 2 and ours.get("norm", theirs["norm"]).ndim == 3:
        theirs.setdefault("representation", theirs.pop("norm"))
    name = GRADIENT + "pos_embed"
    if name in theirs and theirs[name].ndim == 3 and theirs[name].shape[1] == ours[name].shape[1] - 1:
        # Positions without a row for [CLS]: what minivit has there is zero, and its gradient has no counterpart.
        theirs[name] = np.concatenate([ours[name][:, :1], theirs[name]], axis=1)
    return {name: _fitted(array, ours[name].shape, _kind(name)) for name, array in theirs.items()}


def _kind(name):
    """"grid" for what may stand as a grid of patches, "heads" for what may have its heads elsewhere, or None."""
    kind = name.split(".")[-1]
    return "grid" if kind in ("patches", "patch_embedding") else "heads" if kind in ("query", "key", "value") else None


def _fitted(array, shape, kind):
    if array.shape == shape:
        return array
    if array.shape == shape[1:] and shape[0] == 1:
        return array[None]
    if array.shape == tuple(side for side in shape if side != 1):
        return array.reshape(shape)                             # a token's vector, (D,) for (1, 1, D)
    if kind == "grid" and array.ndim == 4 and array.size == np.prod(shape):
        B, N, D = shape
        if array.shape[-1] == D and array.shape[1] * array.shape[2] == N:
            return array.reshape(shape)
        if array.shape[1] == D and array.shape[2] * array.shape[3] == N:
            return array.reshape(B, D, N).swapaxes(1, 2)
    if kind == "heads":
        B, H, T, d = shape
        if array.shape == (B, T, H * d):
            return array.reshape(B, T, H, d).swapaxes(1, 2)
        if array.shape == (B * H, T, d):
            return array.reshape(shape)
    return array
