"""One encoder layer: attention, then the MLP, each behind a LayerNorm and beside a residual (equations 2 and 3).

    z' = z + MSA(LN(z))
    z  = z' + MLP(LN(z'))

The sums make the residual stream: every layer reads from it and adds to it, none replaces it.
"""

from . import attention, layer_norm, mlp
from .attention import ALL


def forward(x, params, num_heads, eps=1e-6, gelu="erf", with_cache=True, queries=ALL):
    """One pre-norm encoder layer. x: (B, T, D). params: norm1, attn, norm2, mlp.

    with_cache: False where no backward pass follows. queries: which tokens look, a slice: the t whose output is wanted.
    Returns y (B, t, D) and the cache.
    """
    normed, norm1_cache = layer_norm.forward(x, params["norm1"], eps, with_cache)                      # (B, T, D)
    residual, attn_cache = attention.forward(normed, params["attn"], num_heads, with_cache, queries)   # (B, t, D)
    residual += x[:, queries]                                                           # z' = MSA(LN(z)) + z
    normed, norm2_cache = layer_norm.forward(residual, params["norm2"], eps, with_cache)               # (B, t, D)
    y, mlp_cache = mlp.forward(normed, params["mlp"], gelu, with_cache)                                # (B, t, D)
    y += residual                                                                       # z = MLP(LN(z')) + z'
    return y, (norm1_cache, attn_cache, norm2_cache, mlp_cache, queries)


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, t, D). Returns dx (B, T, D) and grads.

    A sum hands its gradient to both summands, so each residual adds dy to what comes back through its branch.
    """
    norm1_cache, attn_cache, norm2_cache, mlp_cache, queries = cache
    dnormed, dmlp = mlp.backward(dy, mlp_cache)                                                        # (B, t, D)
    del cache, mlp_cache                                       # the widest arrays, where nobody else holds them
    dresidual, dnorm2 = layer_norm.backward(dnormed, norm2_cache)                                      # (B, t, D)
    dresidual += dy                                                                     # z = … + z'
    dnormed, dattn = attention.backward(dresidual, attn_cache)                                         # (B, T, D)
    dx, dnorm1 = layer_norm.backward(dnormed, norm1_cache)                                             # (B, T, D)
    dx[:, queries] += dresidual                                                         # z' = … + z
    return dx, {"norm1": dnorm1, "attn": dattn, "norm2": dnorm2, "mlp": dmlp}
