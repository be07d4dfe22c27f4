"""One encoder layer: two branches, attention and then the MLP, each after a LayerNorm (equations 2 and 3).

    z' = MSA(LN(z)) + z
    z  = MLP(LN(z')) + z'

The sums are the residual connections: what goes past the branches makes the residual stream, from which every layer
reads and to which it adds. The last layer keeps only those tokens of it that the head reads. Where params has ls1 and
ls2, LayerScale stands at the end of each branch.
"""

from . import attention, layer_norm, layer_scale, mlp
from .attention import ALL


def forward(x, params, num_heads, eps=1e-6, activation="erf", with_cache=True, queries=ALL):
    """One encoder layer. x: (B, T, D). params: norm1, attn, norm2, mlp. eps: LayerNorm's. activation: the MLP's.

    with_cache: False where no backward pass follows. queries: a slice of the tokens, the t whose output is wanted.
    Returns y (B, t, D) and the cache.
    """
    normed, norm1_cache = layer_norm.forward(x, params["norm1"], eps, with_cache)                      # (B, T, D)
    middle, attn_cache = attention.forward(normed, params["attn"], num_heads, with_cache, queries)     # (B, t, D)
    middle, ls1_cache = layer_scale.forward(middle, params.get("ls1"))                                 # (B, t, D)
    middle += x[:, queries]                                                             # z' = MSA(LN(z)) + z
    normed, norm2_cache = layer_norm.forward(middle, params["norm2"], eps, with_cache)                 # (B, t, D)
    y, mlp_cache = mlp.forward(normed, params["mlp"], activation, with_cache)                          # (B, t, D)
    y, ls2_cache = layer_scale.forward(y, params.get("ls2"))                                           # (B, t, D)
    y += middle                                                                         # z = MLP(LN(z')) + z'
    return y, (norm1_cache, attn_cache, ls1_cache, norm2_cache, mlp_cache, ls2_cache, queries)


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, t, D). Returns dx (B, T, D) and grads.

    A sum hands its gradient to both summands: what arrives at it is added to what comes back through its branch.
    """
    norm1_cache, attn_cache, ls1_cache, norm2_cache, mlp_cache, ls2_cache, queries = cache
    dbranch, dls2 = layer_scale.backward(dy, ls2_cache)                                                # (B, t, D)
    dnormed, dmlp = mlp.backward(dbranch, mlp_cache)                                                   # (B, t, D)
    del cache, mlp_cache                                            # frees the MLP's arrays, the widest, at once
    dmiddle, dnorm2 = layer_norm.backward(dnormed, norm2_cache)                                        # (B, t, D)
    dmiddle += dy                                                                       # z = … + z'
    dbranch, dls1 = layer_scale.backward(dmiddle, ls1_cache)                                           # (B, t, D)
    dnormed, dattn = attention.backward(dbranch, attn_cache)                                           # (B, T, D)
    dx, dnorm1 = layer_norm.backward(dnormed, norm1_cache)                                             # (B, T, D)
    dx[:, queries] += dmiddle                                                           # z' = … + z
    grads = {"norm1": dnorm1, "attn": dattn, "ls1": dls1, "norm2": dnorm2, "mlp": dmlp, "ls2": dls2}
    return dx, {name: dparams for name, dparams in grads.items() if dparams}
