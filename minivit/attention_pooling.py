"""Attention pooling, MAP: a learned query asks all tokens what they hold (Zhai et al. 2021, arXiv 2106.04560).

    q = l W_q,   [k, v] = z W_kv            one query for each head, from the latent l, the same for every image
    p = [softmax(q kᵀ / √d) v]_heads U      attention as in equations 5 to 8 of the ViT paper, with one row
    y = p + MLP(LN(p))

The large models of that paper, g/14 and G/14, have it in place of [CLS], SigLIP too. Lee et al. 2019 (1810.00825) call
it pooling by multi-head attention.
"""

import numpy as np

from . import layer_norm, linear, mlp
from .attention import attend, attend_backward, merge_view, split_heads
from .engine.tiles import by_heads


def forward(x, params, num_heads, eps=1e-6, gelu="erf"):
    """One vector per image. x: (B, T, D), normed tokens. params: latent (1, 1, D), q, kv, proj, norm, mlp.

    eps: LayerNorm's. gelu: its form. Returns y (B, D) and the cache.
    """
    query, key, value, q_cache, kv_cache = queries_keys_values(x, params, num_heads)
    merged = np.empty_like(x, shape=(len(x), 1, x.shape[-1]), order="C")                # (B, 1, D)
    by_heads(attend, query, key, value, out=merge_view(merged, num_heads))
    pooled, proj_cache = linear.forward(merged, params["proj"])                         # (B, 1, D)
    normed, norm_cache = layer_norm.forward(pooled, params["norm"], eps)                # (B, 1, D)
    y, mlp_cache = mlp.forward(normed, params["mlp"], gelu)                             # (B, 1, D)
    y += pooled
    return y[:, 0], (query, key, value, q_cache, kv_cache, proj_cache, norm_cache, mlp_cache)


def queries_keys_values(x, params, num_heads):
    """The query of every head (B, H, 1, d), the same for each image, keys and values (B, H, T, d), and two caches."""
    latent, q_cache = linear.forward(params["latent"], params["q"])                     # (1, 1, D)
    (query,) = split_heads(latent, num_heads, parts=1)                                  # (1, H, 1, d)
    kv, kv_cache = linear.forward(x, params["kv"])                                      # (B, T, 2D)
    key, value = split_heads(kv, num_heads, parts=2)                                    # (B, H, T, d) each
    return query.repeat(len(x), axis=0), key, value, q_cache, kv_cache


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, D). Returns dx (B, T, D) and grads.

    The latent serves all images, so its gradient is the sum over the batch.
    """
    query, key, value, q_cache, kv_cache, proj_cache, norm_cache, mlp_cache = cache
    B, H, T, d = key.shape
    dy = dy[:, None]                                                                    # (B, 1, D)
    dnormed, dmlp = mlp.backward(dy, mlp_cache)                                         # (B, 1, D)
    dpooled, dnorm = layer_norm.backward(dnormed, norm_cache)                           # (B, 1, D)
    dpooled += dy                                                                       # y = p + …
    dmerged, dproj = linear.backward(dpooled, proj_cache)                               # (B, 1, D)
    dq = np.empty_like(dmerged, shape=(B, 1, H * d), order="C")                         # (B, 1, D)
    dkv = np.empty_like(dmerged, shape=(B, T, 2 * H * d), order="C")                    # (B, T, 2D)
    (dquery,), (dkey, dvalue) = split_heads(dq, H, parts=1), split_heads(dkv, H, parts=2)       # views into these
    by_heads(attend_backward, query, key, value, merge_view(dmerged, H), dquery, dkey, dvalue)
    dx, dkv_params = linear.backward(dkv, kv_cache)                                     # (B, T, D)
    dlatent, dq_params = linear.backward(dq.sum(axis=0, keepdims=True), q_cache)        # (1, 1, D)
    return dx, {"latent": dlatent, "q": dq_params, "kv": dkv_params, "proj": dproj, "norm": dnorm, "mlp": dmlp}
