"""Cache-sized tiles: a section's function is called on one part of its arrays after another, where the data already is.

A chain such as exp, sum, divide reads and writes its whole array once a step. Memory is the slow part, so the chain
runs over one tile after another, each small enough to stay in the processor's cache from the first step to the last;
threads with nothing else to do share the tiles. The numbers are the same. On a GPU the whole array is one tile, and the
chain becomes a few kernels or one (`gpu/kernels.py`).
"""

import numpy as np

from .devices import device_of
from .gpu.kernels import fused
from .threads import SMALLEST_SHARED, slices, spread

TILE_BYTES = 512 * 1024
SCORES_PER_TILE = {"cpu": 1 << 20, "cuda": 1 << 28}                  # float32: 4 MB, to stay in cache; 1 GB


def by_rows(function, *arrays, whole=()):
    """Call function(*tiles, *whole) for consecutive rows of the arrays, and return the list of what it returned.

    The arrays share all axes but the last. Those that `function` writes into are C-contiguous, so that each tile is a
    view. whole: what every tile is given as it is, arrays and numbers.
    """
    first = arrays[0]
    if not isinstance(first, np.ndarray):
        return [fused(function, *arrays, *whole)]
    if first.nbytes <= TILE_BYTES and first.size < SMALLEST_SHARED:
        return [function(*arrays, *whole)]
    rows = [a.reshape(-1, a.shape[-1]) for a in arrays]                 # (rows, last axis), views
    most = max(1, TILE_BYTES // max(a.shape[-1] * a.itemsize for a in rows))            # rows of a tile

    def tiles(part):
        here = [a[part] for a in rows]
        count = len(here[0])
        return [function(*[a[tile] for a in here], *whole) for tile in slices(count, -(-count // most))]

    return [result for results in spread(tiles, len(rows[0]), first) for result in results]


def by_heads(function, query, key, *arrays, out=None):
    """Call function(query, key, *arrays, out) for some heads at a time, so few that their scores stay in the cache.

    query: (B, H, t, d). key and all others: (B, H, ..., d), cut by heads alone. out: (B, H, t, d), written by
    `function`, its rows those of query; where it is given, a head too large for the cache is cut by queries too.
    """
    (B, H, t, _), T = query.shape, key.shape[2]
    size = SCORES_PER_TILE[device_of(query)]

    def tiles(part):
        count = max(1, min(part.stop - part.start, size // (B * t * T)))
        step = t if out is None else max(1, min(t, size // (B * count * T)))
        for first in range(part.start, part.stop, count):
            h = slice(first, min(first + count, part.stop))
            others = [a[:, h] for a in (key, *arrays)]
            for start in range(0, t, step):
                rows = slice(start, start + step)
                function(query[:, h, rows], *others, *[] if out is None else [out[:, h, rows]])

    spread(tiles, H, query, 2 * B * H * t * T)                          # the scores, and the products as much again
