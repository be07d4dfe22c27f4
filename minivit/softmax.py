"""Softmax: scores become weights that are positive and sum to one (ViT paper equation 6).

    aᵢ = exp(sᵢ - max s) / Σⱼ exp(sⱼ - max s)

Subtracting the maximum changes nothing in exact arithmetic and keeps exp from overflowing.
"""

import numpy as np

from .engine.tiles import by_rows


def forward(scores, out=None):
    """Softmax over the last axis. scores: (..., n). Returns weights (..., n) and the cache for `backward`.

    out: an array for the weights, C-contiguous; it may be `scores` itself where the caller has no further use for them.
    """
    weights = np.empty_like(scores, order="C") if out is None else out
    by_rows(softmax, scores, weights)
    return weights, weights                                             # what backward needs is the weights alone


def softmax(s, a):
    """a = exp(s - max s) / Σ exp(s - max s), written into a. s, a: (..., n), some rows of scores and of weights."""
    np.exp(s - s.max(axis=-1, keepdims=True), out=a)
    a /= a.sum(axis=-1, keepdims=True)


def backward(dweights, cache):
    """Gradient of `forward`. dweights: (..., n). Returns dscores (..., n)."""
    weights = cache
    dscores = np.empty_like(weights)
    by_rows(softmax_backward, weights, dweights, dscores)
    return dscores


def softmax_backward(a, da, ds):
    """dsᵢ = aᵢ (daᵢ - Σⱼ aⱼ daⱼ), written into ds. All (..., n).

    It is J da with J = diag(a) - a aᵀ, the Jacobian of softmax, which is symmetric: every weight of a row depends on
    every score of it.
    """
    np.subtract(da, (a * da).sum(axis=-1, keepdims=True), out=ds)
    ds *= a
