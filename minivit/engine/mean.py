"""The mean over the features, as LayerNorm takes it."""

import numpy as np


def mean(x):
    """Mean over the last axis, which stays as an axis of length 1. x: (..., D). Returns (..., 1).

    The sum over D, divided by D, gives the bits of NumPy's own `mean` without its 5 µs of Python a call, which a single
    image would pay twice for every LayerNorm. A GPU's arrays, and what records a kernel, have a `mean` of their own.
    """
    if isinstance(x, np.ndarray):
        return x.sum(axis=-1, keepdims=True) / x.shape[-1]
    return x.mean(axis=-1, keepdims=True)
