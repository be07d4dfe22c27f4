"""bfloat16, which NumPy lacks: the upper half of a float32, its sign, 8 bits of exponent and 7 of the fraction."""

import numpy as np


def from_bfloat16(bits):
    """float32 from the bits of bfloat16."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def to_bfloat16(array):
    """The bits of bfloat16, rounded to the nearest, a tie to the even one; NaN stays NaN."""
    single = np.ascontiguousarray(array, np.float32)
    bits = single.view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(single), np.uint16(0x7FC0), rounded)
