"""From a source whose names and shapes fit to params: one tensor read at a time, into minivit's order and layout."""

import math
from contextlib import contextmanager

import numpy as np

from ..errors import CheckpointError
from .timm import expected_shapes

LARGE = 64 << 20           # bytes of weights from which reading takes long enough to show how far it is


def read_params(source, form, places, config, dtype):
    """Nested params, one tensor read at a time. Raises CheckpointError for values that are not finite."""
    total = sum(math.prod(source.shapes[theirs]) for group in places.values() for theirs in group)
    flat = {}
    with _progress(total * dtype.itemsize) as advance:
        for ours in expected_shapes(config):
            arrays = [_read(source, theirs, dtype) for theirs in places[ours]]
            flat[ours] = form.to_ours(ours, arrays)
            advance(sum(array.nbytes for array in arrays))
    return nest(flat)


@contextmanager
def _progress(total):
    """A function to call with the bytes of each tensor read; it moves a bar where there are LARGE bytes in all."""
    if total < LARGE:
        yield lambda count: None        # importing tqdm takes longer than reading a small file
        return
    from tqdm import tqdm
    with tqdm(total=total, unit="B", unit_scale=True, delay=1, leave=False, desc="weights") as bar:
        yield bar.update


def _read(source, name, dtype):
    with np.errstate(over="ignore"):
        array = source.read(name).astype(dtype, copy=False)
    if not is_finite(array):
        raise CheckpointError(f"{source.label}: {name} holds values that are NaN or infinite in {dtype}")
    return array


def is_finite(array):
    """Whether no value of an array is NaN or infinite."""
    # The smallest and the largest are NaN where any value is.
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


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
