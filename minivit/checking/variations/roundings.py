"""Weights as the formats for storage keep them: half precision, and whole numbers times a scale."""

import numpy as np

from .changes import everywhere
from .variation import Variation
from .weights import LINEAR


def kept_bits(a, bits):
    """a with `bits` bits of its significand, the leading one among them: bfloat16 8, TF32 11. Half goes to even."""
    significand, exponent = np.frexp(a)
    return np.ldexp(np.round(np.ldexp(significand, bits)), exponent - bits)


def whole(a, levels, axis=None):
    """a as whole numbers from -levels to levels times one scale, the largest |a| over levels; axis: one scale each."""
    scale = np.abs(a).max(axis=axis, keepdims=axis is not None) / levels
    scale = np.where(scale == 0, 1, scale)
    return np.round(a / scale) * scale


def from_lowest(a, steps):
    """a on steps + 1 levels from its smallest to its largest value, 0 among them (asymmetric)."""
    low, high = min(float(a.min()), 0.0), max(float(a.max()), 0.0)
    scale = (high - low) / steps or 1.0
    zero = np.round(-low / scale)
    return (np.clip(np.round(a / scale) + zero, 0, steps) - zero) * scale


def in_parts(change):
    """change of q, k and v apart, where an array is as wide as they are together; each has a scale of its own."""
    def changed(a):
        thirds = a.ndim == 2 and a.shape[1] == 3 * a.shape[0]
        return np.concatenate([change(part) for part in np.split(a, 3, axis=1)], axis=1) if thirds else change(a)
    return changed


WAYS = {
    "float16": lambda a: a.astype(np.float16).astype(a.dtype),
    "bfloat16": lambda a: kept_bits(a, 8),
    "float32": lambda a: a.astype(np.float32).astype(a.dtype),
    "TF32, 11 bits": lambda a: kept_bits(a, 11),
    "int8, one scale a tensor": lambda a: whole(a, 127),
    "int8, one scale an output channel": lambda a: whole(a, 127, axis=0 if a.ndim > 1 else None),
    "int8, one scale a tensor, the largest value being 128": lambda a: whole(a, 128),
    "int8 between the smallest and the largest value": lambda a: from_lowest(a, 255),
    "int8, one scale a tensor, q, k and v apart": in_parts(lambda a: whole(a, 127)),
    "int4, one scale a tensor": lambda a: whole(a, 7),
    "int4, one scale an output channel": lambda a: whole(a, 7, axis=0 if a.ndim > 1 else None),
    "8-bit floats with 3 bits after the point (e4m3)": lambda a: kept_bits(a, 4),
    "8-bit floats with 2 bits after the point (e5m2)": lambda a: kept_bits(a, 3),
}


def of_weights():
    """Every weight, or the matrices alone."""
    for words, change in WAYS.items():
        yield Variation(f"the weights are rounded to {words}", LINEAR, everywhere(change))
        yield Variation(f"the matrices, not the vectors, are rounded to {words}", LINEAR,
                        everywhere(lambda a, change=change: change(a) if a.ndim == 2 else a))
