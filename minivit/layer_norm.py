"""LayerNorm: every token is brought to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016).

    x̂ = (x - mean(x)) / √(var(x) + eps),   y = weight · x̂ + bias

Mean and variance are taken over the D channels of one token. It stands before attention, before the MLP and before
the head (ViT paper equations 2-4).
"""

import numpy as np

from .engine.tiles import by_rows


def forward(x, params, eps=1e-6):
    """Normalise the last axis. x: (..., D). params: weight and bias (D,). Returns y (..., D) and the cache."""
    xhat = np.empty_like(x, order="C")
    inverse_std = np.empty_like(x[..., :1], order="C")                  # (..., 1)
    y = np.empty_like(xhat)
    by_rows(normalise, x, xhat, inverse_std, y, whole=(params["weight"], params["bias"], eps))
    return y, (xhat, inverse_std, params)


def normalise(x, xhat, inverse_std, y, weight, bias, eps):
    """The equations above, written into xhat, inverse_std = 1 / √(var + eps) and y."""
    np.subtract(x, x.mean(axis=-1, keepdims=True), out=xhat)
    variance = (xhat * xhat).mean(axis=-1, keepdims=True)
    inverse_std[...] = 1.0 / np.sqrt(variance + eps)
    xhat *= inverse_std
    np.multiply(xhat, weight, out=y)
    y += bias


def backward(dy, cache):
    """Gradients of `forward`. dy: (..., D). Returns dx (..., D) and grads with the keys of params."""
    xhat, inverse_std, params = cache
    dx = np.empty_like(xhat)
    dweights, dbiases = zip(*by_rows(normalise_backward, dy, xhat, inverse_std, dx, whole=(params["weight"],)))
    return dx, {"weight": sum(dweights), "bias": sum(dbiases)}


def normalise_backward(dy, xhat, inverse_std, dx, weight):
    """dx̂ = weight · dy,   dx = (dx̂ - mean(dx̂) - x̂ mean(x̂ dx̂)) / √(var + eps), written into dx.

    The two means are what shifting and scaling x would have changed: normalisation takes both out. Weight and bias
    serve all tokens, so their gradients are sums over the tokens. Returns dweight, dbias (D,) of these rows.
    """
    tokens = tuple(range(dy.ndim - 1))
    dweight, dbias = (dy * xhat).sum(axis=tokens), dy.sum(axis=tokens)
    dxhat = dy * weight
    np.subtract(dxhat, dxhat.mean(axis=-1, keepdims=True), out=dx)
    dxhat *= xhat
    dx -= xhat * dxhat.mean(axis=-1, keepdims=True)
    dx *= inverse_std
    return dweight, dbias
