"""Multi-head self-attention: every token looks at every other token (ViT paper appendix A, equations 5-8).

    [q, k, v] = z U_qkv            one linear map, D -> 3D, split into H heads of d = D/H channels
    A = softmax(q kᵀ / √d)         (T, T) for each head: row i says where token i looks
    SA(z) = A v                    each token collects a weighted mean of all values
    MSA(z) = [SA₁ … SA_H] U_msa    the heads side by side, mixed by an output projection
"""

import math

import numpy as np

from . import linear, softmax

SCORES_PER_BLOCK = 1 << 20


def forward(x, params, num_heads, keep=True):
    """Multi-head self-attention. x: (B, T, D). params: qkv (D, 3D) and proj (D, D), weight and bias each.

    keep: False where no backward pass follows. Queries are then taken in blocks, and memory grows with T, not T².
    Returns y (B, T, D) and the cache.
    """
    qkv, qkv_cache = linear.forward(x, params["qkv"])                   # (B, T, 3D)
    query, key, value = split_heads(qkv, num_heads)                     # (B, H, T, d) each
    merged = np.empty_like(x, order="C")                                # (B, T, D)
    heads = merge_view(merged, num_heads)                               # (B, H, T, d), a view of merged

    T = x.shape[1]
    step = T if keep else max(1, SCORES_PER_BLOCK // (len(x) * num_heads * T))
    for start in range(0, T, step):
        rows = slice(start, start + step)
        attention, _ = softmax.forward(scores(query[:, :, rows], key))  # (B, H, step, T)
        np.matmul(attention, value, out=heads[:, :, rows])

    y, proj_cache = linear.forward(merged, params["proj"])              # (B, T, D)
    cache = (query, key, value, attention, qkv_cache, proj_cache) if keep else None
    return y, cache


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, T, D). Returns dx (B, T, D) and grads."""
    query, key, value, attention, qkv_cache, proj_cache = cache
    B, num_heads, T, d = query.shape
    dmerged, dproj = linear.backward(dy, proj_cache)                    # (B, T, D)
    dheads = merge_view(dmerged, num_heads)                             # (B, H, T, d)

    dqkv = np.empty_like(dmerged, shape=(B, T, 3 * num_heads * d))      # (B, T, 3D)
    dquery, dkey, dvalue = split_heads(dqkv, num_heads)                 # views: what is written here lands in dqkv
    np.matmul(attention.swapaxes(-1, -2), dheads, out=dvalue)           # dv = Aᵀ dheads
    dattention = dheads @ value.swapaxes(-1, -2)                        # (B, H, T, T)
    dscores = softmax.backward(dattention, attention)                   # (B, H, T, T)
    dscores *= 1 / math.sqrt(d)
    np.matmul(dscores, key, out=dquery)                                 # dq = ds k / √d
    np.matmul(dscores.swapaxes(-1, -2), query, out=dkey)                # dk = dsᵀ q / √d

    dx, dqkv_params = linear.backward(dqkv, qkv_cache)                  # (B, T, D)
    return dx, {"qkv": dqkv_params, "proj": dproj}


def scores(query, key):
    """q kᵀ / √d, before the softmax. query (B, H, Tq, d), key (B, H, T, d). Returns (B, H, Tq, T).

    Without the scale, scores of width-d vectors have variance d, and softmax would saturate.
    """
    s = query @ key.swapaxes(-1, -2)
    s *= 1 / math.sqrt(query.shape[-1])
    return s


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
