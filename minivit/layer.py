"""One encoder layer: attention, then the MLP, each behind a LayerNorm and beside a residual (equations 2 and 3).

    z' = z + MSA(LN(z))
    z  = z' + MLP(LN(z'))

The sums make the residual stream: every layer reads from it and adds to it, none replaces it.
"""

from . import attention, layer_norm, mlp
from .attention import ALL


def forward(x, params, num_heads, eps=1e-6, gelu="erf", keep=True, asking=ALL):
    """One pre-norm encoder layer. x: (B, T, D). params: norm1, attn, norm2, mlp.

    asking: a slice of the tokens, the t whose output is wanted. Returns y (B, t, D) and the cache.
    """
    normed, norm1_cache = layer_norm.forward(x, params["norm1"], eps)                    # (B, T, D)
    residual, attn_cache = attention.forward(normed, params["attn"], num_heads, keep, asking)        # (B, t, D)
    residual += x[:, asking]                                                             # z' = MSA(LN(z)) + z
    normed, norm2_cache = layer_norm.forward(residual, params["norm2"], eps)             # (B, t, D)
    y, mlp_cache = mlp.forward(normed, params["mlp"], gelu, keep)                        # (B, t, D)
    y += residual                                                                        # MLP(LN(z')) + z'
    return y, (norm1_cache, attn_cache, norm2_cache, mlp_cache, asking)


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, t, D). Returns dx (B, T, D) and grads.

    A sum hands its gradient to both summands, so each residual adds dy to what comes back through its branch.
    """
    norm1_cache, attn_cache, norm2_cache, mlp_cache, asking = cache
    dnormed, dmlp = mlp.backward(dy, mlp_cache)
    del cache, mlp_cache                                       # the widest arrays, where nobody else holds them
    dresidual, dnorm2 = layer_norm.backward(dnormed, norm2_cache)
    dresidual += dy
    dnormed, dattn = attention.backward(dresidual, attn_cache)
    dx, dnorm1 = layer_norm.backward(dnormed, norm1_cache)
    dx[:, asking] += dresidual
    return dx, {"norm1": dnorm1, "attn": dattn, "norm2": dnorm2, "mlp": dmlp}
