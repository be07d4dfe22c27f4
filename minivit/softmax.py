"""Softmax: scores become weights that are positive and sum to one (ViT paper equation 6).

    aᵢ = exp(sᵢ - max s) / Σⱼ exp(sⱼ - max s)

Subtracting the maximum changes nothing in exact arithmetic and keeps exp from overflowing.
"""

import numpy as np

from .engine.tiles import in_blocks


def forward(scores, out=None):
    """Softmax over the last axis. scores: (..., n). Returns weights (..., n) and the cache for `backward`.

    out: an array for the weights, C-contiguous; it may be `scores` itself where the caller has no further use for them.
    """
    weights = np.empty_like(scores, order="C") if out is None else out

    def normalise(s, a):
        np.subtract(s, s.max(axis=-1, keepdims=True), out=a)
        np.exp(a, out=a)
        a /= a.sum(axis=-1, keepdims=True)

    in_blocks(normalise, scores, weights)
    return weights, weights


def backward(dweights, cache):
    """Gradient with respect to the scores:  dsᵢ = aᵢ (daᵢ - Σⱼ aⱼ daⱼ).

    It is (diag(a) - a aᵀ) da, the full Jacobian of softmax: every weight depends on every score of its row.
    """
    weights = cache
    dscores = np.empty_like(weights)

    def jacobian_product(a, da, ds):
        np.multiply(a, da, out=ds)
        shared = ds.sum(axis=-1, keepdims=True)                         # Σⱼ aⱼ daⱼ
        np.subtract(da, shared, out=ds)
        ds *= a

    in_blocks(jacobian_product, weights, dweights, dscores)
    return dscores
