"""Multi-head self-attention: every token looks at every other token (ViT paper appendix A, equations 5-8).

    [q, k, v] = z U_qkv            one linear map, D -> 3D, split into H heads of d = D/H channels
    A = softmax(q kᵀ / √d)         (T, T) for each head: row i says where token i looks
    SA(z) = A v                    each token collects a weighted mean of all values
    MSA(z) = [SA₁ … SA_H] U_msa    the heads side by side, mixed by an output projection
"""

import math

import numpy as np

from . import linear, softmax
from .engine.tiles import by_heads

ALL = slice(None)


def forward(x, params, num_heads, with_cache=True, queries=ALL):
    """Multi-head self-attention. x: (B, T, D). params: qkv (D, 3D) and proj (D, D), weight and bias each.

    with_cache: False where no backward pass follows. queries: which tokens look, a slice; the t of them are the tokens
    whose output is wanted. All T are looked at. Returns y (B, t, D) and the cache.
    """
    qkv, qkv_cache = linear.forward(x, params["qkv"])                   # (B, T, 3D)          equation 5
    query, key, value = split_heads(qkv, num_heads)                     # (B, H, T, d) each
    query = query[:, :, queries]                                        # (B, H, t, d)
    merged = np.empty_like(x[:, queries], order="C")                    # (B, t, D)
    by_heads(attend, query, key, value, out=merge_view(merged, num_heads))                  # equations 6 and 7
    y, proj_cache = linear.forward(merged, params["proj"])              # (B, t, D)           equation 8
    return y, (query, key, value, queries, qkv_cache, proj_cache) if with_cache else None


def attend(q, k, v, heads):
    """heads = softmax(q kᵀ / √d) v, written into heads. q, heads: (B, H, t, d). k, v: (B, H, T, d)."""
    np.matmul(weights(q, k), v, out=heads)


def weights(query, key):
    """A = softmax(q kᵀ / √d). query: (B, H, t, d). key: (B, H, T, d). Returns (B, H, t, T)."""
    s = scores(query, key)
    return softmax.forward(s, out=s)[0]


def scores(query, key):
    """q kᵀ / √d, before the softmax. query: (B, H, t, d). key: (B, H, T, d). Returns (B, H, t, T).

    Without the scale, scores of width-d vectors have variance d, and softmax would saturate.
    """
    s = query @ key.swapaxes(-1, -2)
    s *= 1 / math.sqrt(query.shape[-1])
    return s


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, t, D). Returns dx (B, T, D) and grads."""
    query, key, value, queries, qkv_cache, proj_cache = cache
    B, num_heads, T, d = key.shape
    dmerged, dproj = linear.backward(dy, proj_cache)                    # (B, t, D)
    dqkv = np.zeros_like(dmerged, shape=(B, T, 3 * num_heads * d))      # (B, T, 3D): 0 for a query that nobody asked
    dquery, dkey, dvalue = split_heads(dqkv, num_heads)                 # (B, H, T, d): written here, it stands in dqkv
    by_heads(attend_backward, query, key, value, merge_view(dmerged, num_heads), dquery[:, :, queries], dkey, dvalue)
    dx, dqkv_params = linear.backward(dqkv, qkv_cache)                  # (B, T, D)
    return dx, {"qkv": dqkv_params, "proj": dproj}


def attend_backward(q, k, v, dheads, dq, dk, dv):
    """Gradients of `attend`, written into dq, dk, dv. Each line says which line of forward it belongs to.

    A is computed anew from q and k: to keep it for every layer would take memory that grows with T².
    """
    a = weights(q, k)                                                   # (B, H, t, T)
    np.matmul(a.swapaxes(-1, -2), dheads, out=dv)                       # heads = A v:        dv = Aᵀ dheads
    da = dheads @ v.swapaxes(-1, -2)                                    #                     dA = dheads vᵀ
    ds = softmax.backward(da, a)                                        # A = softmax(S)
    ds *= 1 / math.sqrt(q.shape[-1])                                    # S = q kᵀ / √d
    np.matmul(ds, k, out=dq)                                            #                     dq = dS k / √d
    np.matmul(ds.swapaxes(-1, -2), q, out=dk)                           #                     dk = dSᵀ q / √d


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
