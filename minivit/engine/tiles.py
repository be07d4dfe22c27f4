"""Cache-sized blocks: elementwise work done where the data already is.

A chain such as exp, add, divide reads and writes the whole array once a step. Memory is the slow part, so the chain
runs over one block of rows after another, each small enough to stay in the processor's cache from the first step to
the last. The numbers are the same. On a GPU the whole array is one block, and the chain becomes a few kernels or one.
"""

import numpy as np

from .gpu.kernels import fused
from .threads import share

BLOCK_BYTES = 512 * 1024


def in_blocks(function, *arrays):
    """Call function(*blocks) for consecutive runs of rows of the arrays, and return the list of what it returned.

    The arrays share all axes but the last. Those that `function` writes into are C-contiguous, so that each block
    is a view.
    """
    if not isinstance(arrays[0], np.ndarray):
        return [fused(function, *arrays)]
    rows = [a.reshape(-1, a.shape[-1]) for a in arrays]                 # (rows, last axis), views
    widest = max(a.shape[-1] * a.itemsize for a in rows)
    step = max(1, BLOCK_BYTES // max(1, widest))

    def of_rows(part):
        starts = range(part.start, part.stop, step)
        return [function(*[a[start:min(start + step, part.stop)] for a in rows]) for start in starts]

    return [result for results in share(of_rows, len(rows[0]), arrays[0]) for result in results]
