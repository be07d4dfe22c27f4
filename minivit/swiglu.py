"""SwiGLU, the gated activation of DINOv2's giant (Shazeer 2020, arXiv 2002.05202, equation 6).

    [a, b] = x                       the first linear map of the MLP makes 2M features
    swiglu(x) = silu(a) · b,         silu(a) = a σ(a),  σ(a) = 1 / (1 + exp(-a))
                silu'(a) = σ(a) + silu(a) (1 - σ(a))

One half says how much of the other passes. The prime marks the derivative by a.
"""

import numpy as np

from .engine.tiles import by_rows


def forward(x, with_cache=True):
    """silu(a) · b. x: (..., 2M), a before b. with_cache: False where no backward pass follows.

    Returns y (..., M) and the cache.
    """
    a, b = np.split(x, 2, axis=-1)                                      # (..., M) each: views of x
    y = np.empty_like(a, order="C")
    by_rows(swiglu, a, b, y)
    return y, (a, b) if with_cache else None


def backward(dy, cache):
    """da = dy · b · silu'(a),   db = dy · silu(a). dy: (..., M). Returns dx (..., 2M)."""
    a, b = cache
    dx = np.empty_like(dy, shape=(*dy.shape[:-1], 2 * dy.shape[-1]), order="C")
    da, db = np.split(dx, 2, axis=-1)
    by_rows(swiglu_backward, a, b, dy, da, db)
    return dx


def swiglu(a, b, y):
    """silu(a) · b, written into y."""
    np.multiply(a * sigmoid(a), b, out=y)


def swiglu_backward(a, b, dy, da, db):
    """The gradients above, written into da and db; σ(a) is computed anew."""
    gate = sigmoid(a)
    silu = a * gate
    np.multiply(dy, b * (gate + silu * (1.0 - gate)), out=da)
    np.multiply(dy, silu, out=db)


def sigmoid(a):
    """σ(a) = (1 + tanh(a / 2)) / 2, which cannot overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * a))
