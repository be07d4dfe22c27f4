"""LayerNorm: every token is brought to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016).

    x̂ = (x - mean(x)) / √(var(x) + eps),   y = weight · x̂ + bias

Mean and variance are taken over the D channels of one token. It stands before attention, before the MLP and before
the head (ViT paper equations 2-4).
"""

import numpy as np

from .engine.tiles import in_blocks


def forward(x, params, eps=1e-6):
    """Normalise the last axis. x: (..., D). params: weight and bias (D,). Returns y (..., D) and the cache."""
    xhat = np.empty_like(x, order="C")
    inverse_std = np.empty_like(x[..., :1], order="C")                  # (..., 1)
    y = np.empty_like(xhat)

    def normalise(x, xhat, inverse_std, y):
        np.subtract(x, x.mean(axis=-1, keepdims=True), out=xhat)
        np.multiply(xhat, xhat, out=y)
        variance = y.mean(axis=-1, keepdims=True)
        inverse_std[...] = 1.0 / np.sqrt(variance + eps)
        xhat *= inverse_std
        np.multiply(xhat, params["weight"], out=y)
        y += params["bias"]

    in_blocks(normalise, x, xhat, inverse_std, y)
    return y, (xhat, inverse_std, params)


def backward(dy, cache):
    """Gradients of `forward`. dy: (..., D). Returns dx (..., D) and grads with the keys of params.

        dx̂ = weight · dy,   dx = (dx̂ - mean(dx̂) - x̂ mean(x̂ dx̂)) / √(var + eps)

    The two means are what shifting and scaling x would have changed: normalisation takes both out.
    """
    xhat, inverse_std, params = cache
    dx = np.empty_like(xhat)

    def gradient(dy, xhat, inverse_std, dx):
        tokens = tuple(range(dy.ndim - 1))
        np.multiply(dy, xhat, out=dx)
        dweight, dbias = dx.sum(axis=tokens), dy.sum(axis=tokens)       # (D,), (D,)
        dx *= params["weight"]
        scale_part = dx.mean(axis=-1, keepdims=True)                    # mean(x̂ dx̂)
        np.multiply(dy, params["weight"], out=dx)                       # dx̂
        dx -= dx.mean(axis=-1, keepdims=True)
        dx -= xhat * scale_part
        dx *= inverse_std
        return dweight, dbias

    dweights, dbiases = zip(*in_blocks(gradient, dy, xhat, inverse_std, dx))
    return dx, {"weight": sum(dweights), "bias": sum(dbiases)}
