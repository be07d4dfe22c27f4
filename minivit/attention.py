"""Multi-head self-attention: every token looks at every other token (ViT paper appendix A, equations 5-8).

    [q, k, v] = z U_qkv            one linear map, D -> 3D, split into H heads of d = D/H channels
    A = softmax(q kᵀ / √d)         (T, T) for each head: row i says where token i looks
    SA(z) = A v                    each token collects a weighted mean of all values
    MSA(z) = [SA₁ … SA_H] U_msa    the heads side by side, mixed by an output projection
"""

import math

import numpy as np

from . import linear, softmax
from .engine.devices import device_of
from .engine.threads import share

ALL = slice(None)
SCORES_PER_BLOCK = {"cpu": 1 << 20, "cuda": 1 << 28}                 # float32: 4 MB, to stay in cache; 1 GB


def forward(x, params, num_heads, keep=True, asking=ALL):
    """Multi-head self-attention. x: (B, T, D). params: qkv (D, 3D) and proj (D, D), weight and bias each.

    keep: False where no backward pass follows. asking: a slice of the tokens, the t whose output is wanted; all are
    looked at. Returns y (B, t, D) and the cache.
    """
    qkv, qkv_cache = linear.forward(x, params["qkv"])                   # (B, T, 3D)
    query, key, value = split_heads(qkv, num_heads)                     # (B, H, T, d) each
    query = query[:, :, asking]                                         # (B, H, t, d)
    merged = np.empty_like(x[:, asking], order="C")                     # (B, t, D)
    heads = merge_view(merged, num_heads)                               # (B, H, t, d), a view of merged

    def of_heads(h):
        for some, rows in blocks_of(h, query, key):
            a = weights(query[:, some, rows], key[:, some])             # (B, h, rows, T)
            np.matmul(a, value[:, some], out=heads[:, some, rows])

    share(of_heads, num_heads, qkv, work_of(query, key))
    y, proj_cache = linear.forward(merged, params["proj"])              # (B, t, D)
    return y, (query, key, value, asking, qkv_cache, proj_cache) if keep else None


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, t, D). Returns dx (B, T, D) and grads.

    A is computed anew from q and k: to keep it for every layer would take memory that grows with T².
    """
    query, key, value, asking, qkv_cache, proj_cache = cache
    B, num_heads, T, d = key.shape
    dmerged, dproj = linear.backward(dy, proj_cache)                    # (B, t, D)
    dheads = merge_view(dmerged, num_heads)                             # (B, H, t, d)

    dqkv = np.empty_like(dmerged, shape=(B, T, 3 * num_heads * d))      # (B, T, 3D)
    dqueries, dkey, dvalue = split_heads(dqkv, num_heads)               # views: what is written here lands in dqkv
    dquery = dqueries[:, :, asking]                                     # (B, H, t, d)
    if dquery.shape != dqueries.shape:
        dqueries[...] = 0.0                                             # a token that does not ask

    def of_block(some):
        q, k, v, do = (array[:, some] for array in (query, key, value, dheads))          # (B, h, t or T, d)
        a = weights(q, k)                                               # (B, h, t, T)
        np.matmul(a.swapaxes(-1, -2), do, out=dvalue[:, some])          # dv = Aᵀ dheads
        da = do @ v.swapaxes(-1, -2)                                    # (B, h, t, T)
        ds = softmax.backward(da, a)                                    # (B, h, t, T)
        ds *= 1 / math.sqrt(d)
        np.matmul(ds, k, out=dquery[:, some])                           # dq = ds k / √d
        np.matmul(ds.swapaxes(-1, -2), q, out=dkey[:, some])            # dk = dsᵀ q / √d

    def of_heads(h):
        for some, _ in blocks_of(h, query, key, whole=True):
            of_block(some)

    share(of_heads, num_heads, dqkv, work_of(query, key))
    dx, dqkv_params = linear.backward(dqkv, qkv_cache)                  # (B, T, D)
    return dx, {"qkv": dqkv_params, "proj": dproj}


def weights(query, key):
    """A = softmax(q kᵀ / √d). query (B, H, Tq, d), key (B, H, T, d). Returns (B, H, Tq, T)."""
    s = scores(query, key)
    return softmax.forward(s, out=s)[0]


def scores(query, key):
    """q kᵀ / √d, before the softmax. query (B, H, Tq, d), key (B, H, T, d). Returns (B, H, Tq, T).

    Without the scale, scores of width-d vectors have variance d, and softmax would saturate.
    """
    s = query @ key.swapaxes(-1, -2)
    s *= 1 / math.sqrt(query.shape[-1])
    return s


def blocks_of(heads, query, key, whole=False):
    """(heads, rows) of blocks of at most SCORES_PER_BLOCK: as many whole heads as fit, else some queries of one head.

    heads: a slice of the H. query: (B, H, t, d). key: (B, H, T, d). whole: never less than a head.
    """
    (B, _, t, _), T = query.shape, key.shape[2]
    size = SCORES_PER_BLOCK[device_of(query)]
    count = max(1, min(heads.stop - heads.start, size // (B * t * T)))
    step = t if whole else max(1, min(t, size // (B * count * T)))
    for first in range(heads.start, heads.stop, count):
        for start in range(0, t, step):
            yield slice(first, min(first + count, heads.stop)), slice(start, start + step)


def work_of(query, key):
    """Numbers that attention has to work on, for `share`: the scores, about as much again for the products of each."""
    B, num_heads, t, _ = query.shape
    return 2 * B * num_heads * t * key.shape[2]


def split_heads(qkv, num_heads):
    """(B, T, 3D) -> query, key, value of (B, H, T, d), as views. The transpose is what makes them heads:

    without it, the product q kᵀ would compare the heads of one token instead of the tokens of one head.
    """
    B, T, three_D = qkv.shape
    parts = qkv.reshape(B, T, 3, num_heads, three_D // (3 * num_heads))
    return parts.transpose(2, 0, 3, 1, 4)                               # (3, B, H, T, d)


def merge_view(merged, num_heads):
    """(B, T, D) seen as (B, H, T, d): what is written here stands in `merged` with the heads side by side."""
    B, T, D = merged.shape
    return merged.reshape(B, T, num_heads, D // num_heads).transpose(0, 2, 1, 3)
