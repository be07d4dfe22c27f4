"""MLP: each token thinks alone about what attention has brought it (ViT paper section 3.1, equation 3).

    MLP(z) = gelu(z W₁ + b₁) W₂ + b₂        D -> M -> D, with M = 4D in most variants

A gated MLP has SwiGLU in place of GELU, and its first map makes 2M features.
"""

from . import gelu, linear, swiglu


def forward(x, params, activation="erf", with_cache=True):
    """Expand, bend, contract. x: (B, T, D). params: fc1 (D, M) and fc2 (M, D), weight and bias each.

    activation: GELU's form, "erf", "tanh" or "quick", or "swiglu". with_cache: False where no backward pass follows.
    Returns y (B, T, D) and the cache.
    """
    expanded, fc1_cache = linear.forward(x, params["fc1"])              # (B, T, M), or (B, T, 2M) for SwiGLU
    if activation == "swiglu":
        hidden, act_cache = swiglu.forward(expanded, with_cache)        # (B, T, M)
    else:
        hidden, act_cache = gelu.forward(expanded, activation, with_cache, out=expanded)     # (B, T, M)
    y, fc2_cache = linear.forward(hidden, params["fc2"])                # (B, T, D)
    return y, (fc1_cache, activation, act_cache, fc2_cache)


def backward(dy, cache):
    """Gradients of `forward`, its steps in reverse. dy: (B, T, D). Returns dx (B, T, D) and grads."""
    fc1_cache, activation, act_cache, fc2_cache = cache
    dhidden, dfc2 = linear.backward(dy, fc2_cache)                      # (B, T, M)
    if activation == "swiglu":
        dexpanded = swiglu.backward(dhidden, act_cache)                 # (B, T, 2M)
    else:
        dexpanded = gelu.backward(dhidden, act_cache, out=dhidden)      # (B, T, M)
    dx, dfc1 = linear.backward(dexpanded, fc1_cache)                    # (B, T, D)
    return dx, {"fc1": dfc1, "fc2": dfc2}
