"""LayerNorm: every token is brought to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016).

    x̂ = (x - mean(x)) / √(var(x) + eps),   y = weight · x̂ + bias

Mean and variance are taken over the D features of one token; weight and bias (D,) act on each feature by itself. A
LayerNorm stands before attention, before the MLP and before the head (ViT paper equations 2-4).
"""

import numpy as np

from .engine.column_sums import column_sums
from .engine.mean import mean
from .engine.tiles import by_rows


def forward(x, params, eps=1e-6, with_cache=True):
    """Normalise the last axis. x: (..., D). params: weight and bias (D,). eps: keeps the root away from 0.

    with_cache: False where no backward pass follows. Returns y (..., D) and the cache.
    """
    y = np.empty_like(x, order="C")
    xhat = np.empty_like(y) if with_cache else y                        # without a cache y may overwrite x̂
    inverse_std = np.empty_like(y[..., :1])                             # (..., 1)
    by_rows(normalise, x, xhat, inverse_std, y, whole=(params["weight"], params["bias"], eps))
    return y, (xhat, inverse_std, params) if with_cache else None


def normalise(x, xhat, inverse_std, y, weight, bias, eps):
    """The equations above, written into xhat, inverse_std = 1 / √(var + eps) and y."""
    np.subtract(x, mean(x), out=xhat)                                   # mean over the last axis: (..., 1)
    variance = mean(xhat * xhat)
    np.divide(1.0, np.sqrt(variance + eps), out=inverse_std)
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

    To shift x, or to stretch it about its mean, leaves x̂ as it is. So dx must have no part along (1, …, 1) and none
    along x̂: the two means take them out. Weight and bias serve all tokens, so their gradients are sums over the tokens.
    Returns dweight, dbias (D,) of these rows.
    """
    dweight, dbias = column_sums(dy * xhat), column_sums(dy)            # (D,), (D,)
    dxhat = dy * weight
    np.subtract(dxhat, mean(dxhat), out=dx)
    dxhat *= xhat                                                       # now x̂ dx̂
    dx -= xhat * mean(dxhat)
    dx *= inverse_std
    return dweight, dbias
