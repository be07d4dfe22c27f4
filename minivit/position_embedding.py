"""Position embedding: each token learns where it came from (ViT paper section 3.1, equation 1; App. D.4).

    z₀ = tokens + E_pos

"learned": one trained vector a token. No grid is built in; where it begins at random, one emerges (Fig. 7 centre).
"fixed": a table that is not trained. "sincos2d": sines and cosines of a patch's column and row. "none": none.
Registers have no position, and [CLS] has none in a table of N rows.
"""

import numpy as np

TEMPERATURE = 10_000


def forward(x, params, kind="learned", grid=None):
    """Add position embeddings. x: (B, T, D). params: pos_embed (1, T, D) where learned or fixed, else empty.

    grid: (rows, columns) of the patches, needed by all but a table of T rows. Returns (B, T, D) and the cache.
    """
    if kind in ("learned", "fixed"):
        table = params["pos_embed"]
        without = x.shape[1] - table.shape[1]                           # tokens without a position, before the patches
        first = table.shape[1] - grid[0] * grid[1] if without else 0
        if without:
            gap = np.zeros_like(table, shape=(1, without, table.shape[2]))
            table = np.concatenate([table[:, :first], gap, table[:, first:]], axis=1)
        return x + table, (first, without)                              # (B, T, D)
    return x + _sincos_tokens(x, grid) if kind == "sincos2d" else x, None


def backward(dy, cache):
    """Gradients of `forward`. dy: (B, T, D). Returns dx = dy and grads: the sum over the batch."""
    if cache is None:
        return dy, {}
    first, without = cache
    dtable = dy.sum(axis=0, keepdims=True)                              # (1, T, D)
    return dy, {"pos_embed": np.delete(dtable, range(first, first + without), axis=1) if without else dtable}


def sincos_2d(grid, width):
    """Sin-cos embeddings of a grid of patches: (1, N, D) in float64, in raster order.

    A quarter of the features each for sin and cos of the column, then sin and cos of the row, with frequencies
    10000^(-k/(D/4)), as in MAE (He et al. 2021, arXiv 2111.06377). (big_vision's 10000^(-k/(D/4 - 1)) are others, but
    for the first.) Raises ValueError unless 4 divides D.
    """
    if width % 4:
        raise ValueError(f"sin-cos 2-D positions need a width that 4 divides, found {width}")
    rows, columns = grid
    frequency = TEMPERATURE ** -(np.arange(width // 4) / (width / 4))   # (D/4,)
    row, column = np.divmod(np.arange(rows * columns), columns)         # (N,), (N,)
    angles = [place[:, None] * frequency for place in (column, row)]    # (N, D/4) each
    return np.concatenate([f(a) for a in angles for f in (np.sin, np.cos)], axis=1)[None]


def _sincos_tokens(x, grid):
    """`sincos_2d` as (1, T, D) in x's dtype and on its device, with zeros for [CLS] where there is one."""
    table = sincos_2d(grid, x.shape[-1])[0]                             # (N, D)
    tokens = np.zeros(x.shape[1:], x.dtype)                             # (T, D)
    tokens[len(tokens) - len(table):] = table
    return np.asarray(tokens[None], like=x)
