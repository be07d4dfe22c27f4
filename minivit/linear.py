"""Linear layer: the matrix product that every section is built from.

    y = x W + b

Weights are stored (in, out), so that the code reads as the equation does; PyTorch stores (out, in).
"""

from .engine.column_sums import column_sums
from .engine.threads import product


def forward(x, params):
    """Apply y = x W + b to the last axis.

    x: (..., in). params: weight (in, out) and bias (out,), which may be missing. Returns y (..., out) and the cache.
    """
    rows = x.reshape(-1, x.shape[-1])                                   # (rows, in)
    y = product(rows, params["weight"], params.get("bias"))             # (rows, out)
    return y.reshape(*x.shape[:-1], y.shape[-1]), (rows, params)


def backward(dy, cache):
    """Gradients of `forward`:  dx = dy Wᵀ,  dW = xᵀ dy,  db = the sum of dy over all rows.

    dy: (..., out). Returns dx (..., in) and grads with the keys of params.
    """
    rows, params = cache
    drows = dy.reshape(-1, dy.shape[-1])                                # (rows, out)
    dx = product(drows, params["weight"].T)                             # (rows, in)
    grads = {"weight": product(rows.T, drows)}                          # (in, out)
    if "bias" in params:
        grads["bias"] = column_sums(dy)                                 # (out,)
    return dx.reshape(*dy.shape[:-1], dx.shape[-1]), grads
