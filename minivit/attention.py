"""Multi-head self-attention: every token looks at all tokens (ViT paper appendix A, equations 5-8).

    [q, k, v] = z U_qkv            (5) one linear map for all heads, D -> 3D, split into H heads of d = D/H features
    A = softmax(q kᵀ / √d)         (6) (t, T) for each head: row i says how much token i takes from each token
    SA(z) = A v                    (7) each token collects a weighted mean of all values
    MSA(z) = [SA₁ … SA_H] U_msa    (8) the heads side by side, mixed by an output projection

U_qkv is `qkv` among the parameters and U_msa is `proj`; both have biases, which the paper leaves out.
"""

import math

import numpy as np

from . import linear, softmax
from .engine.tiles import by_heads

ALL = slice(None)


def forward(x, params, num_heads, with_cache=True, queries=ALL):
    """Multi-head self-attention. x: (B, T, D). params: qkv, weight (D, 3D) and bias (3D,); proj, (D, D) and (D,).

    with_cache: False where no backward pass follows. queries: a slice of the tokens; its t tokens are those whose
    output is wanted. They look at all T. Returns y (B, t, D) and the cache.
    """
    qkv, qkv_cache = linear.forward(x, params["qkv"])                   # (B, T, 3D)          equation 5
    query, key, value = split_heads(qkv, num_heads)                     # (B, H, T, d) each
    query = query[:, :, queries]                                        # (B, H, t, d)
    merged = np.empty_like(x[:, queries], order="C")                    # (B, t, D)
    by_heads(attend, query, key, value, out=merge_view(merged, num_heads))                  # equations 6 and 7
    y, proj_cache = linear.forward(merged, params["proj"])              # (B, t, D)           equation 8
    return y, (query, key, value, queries, qkv_cache, proj_cache) if with_cache else None


def attend(q, k, v, heads):
    """SA of every head, softmax(q kᵀ / √d) v, written into heads. q, heads: (B, H, t, d). k, v: (B, H, T, d)."""
    np.matmul(weights(q, k), v, out=heads)


def weights(query, key):
    """A = softmax(S), the attention weights. query: (B, H, t, d). key: (B, H, T, d). Returns (B, H, t, T)."""
    s = scores(query, key)
    return softmax.forward(s, out=s)[0]


def scores(query, key):
    """S = q kᵀ / √d, before the softmax. query: (B, H, t, d). key: (B, H, T, d). Returns (B, H, t, T).

    The product of two vectors of d independent numbers with mean 0 and variance 1 has variance d: unscaled, softmax
    would saturate.
    """
    s = query @ key.swapaxes(-1, -2)
    s *= 1 / math.sqrt(query.shape[-1])
    return s


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, t, D). Returns dx (B, T, D) and grads."""
    query, key, value, queries, qkv_cache, proj_cache = cache
    B, num_heads, T, d = key.shape
    dmerged, dproj = linear.backward(dy, proj_cache)                    # (B, t, D)
    dqkv = np.zeros_like(dmerged, shape=(B, T, 3 * num_heads * d))      # (B, T, 3D): dq is 0 outside `queries`
    dquery, dkey, dvalue = split_heads(dqkv, num_heads)                 # (B, H, T, d) each: views into dqkv
    by_heads(attend_backward, query, key, value, merge_view(dmerged, num_heads), dquery[:, :, queries], dkey, dvalue)
    dx, dqkv_params = linear.backward(dqkv, qkv_cache)                  # (B, T, D)
    return dx, {"qkv": dqkv_params, "proj": dproj}


def attend_backward(q, k, v, dheads, dq, dk, dv):
    """Gradients of `attend`, written into dq, dk, dv. Each line says which of its equations it belongs to.

    A is computed anew from q and k: to keep it for every layer would take memory that grows with T².
    """
    a = weights(q, k)                                                   # (B, H, t, T)
    np.matmul(a.swapaxes(-1, -2), dheads, out=dv)                       # heads = A v:        dv = Aᵀ dheads
    da = dheads @ v.swapaxes(-1, -2)                                    #                     dA = dheads vᵀ
    ds = softmax.backward(da, a)                                        # A = softmax(S)
    ds *= 1 / math.sqrt(q.shape[-1])                                    # S = q kᵀ / √d;      from here on dS / √d
    np.matmul(ds, k, out=dq)                                            #                     dq = (dS / √d) k
    np.matmul(ds.swapaxes(-1, -2), q, out=dk)                           #                     dk = (dS / √d)ᵀ q


def split_heads(qkv, num_heads, parts=3):
    """(B, T, 3D) -> query, key, value of (B, H, T, d), as views of qkv. parts: 2 where it holds two of them, or 1.

    The transpose is what makes them heads: without it, the product q kᵀ would compare the heads of one token instead of
    the tokens of one head.
    """
    B, T, width = qkv.shape
    split = qkv.reshape(B, T, parts, num_heads, width // (parts * num_heads))
    return split.transpose(2, 0, 3, 1, 4)                               # (parts, B, H, T, d)


def merge_view(merged, num_heads):
    """(B, T, D) seen as (B, H, T, d): writing into this view fills `merged`, the heads side by side."""
    B, T, D = merged.shape
    return merged.reshape(B, T, num_heads, D // num_heads).transpose(0, 2, 1, 3)
