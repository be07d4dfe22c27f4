"""Head: one vector stands for the image, and one linear map turns it into a score a class (equation 4, section 3.1).

    "cls"    y = LN(z_L) at the [CLS] token
    "mean"   y = LN(mean of z_L over the patches), as timm does it (App. D.3 compares the two)
    logits = y W + b

The relatives that normalise all tokens before they pool them are in normed_head.py.

Logits are not probabilities: `softmax` makes them so. A model without classes ends at the representation y.
"""

import numpy as np

from . import layer_norm, linear
from .attention import ALL

POOLS = ("cls", "mean")
NAMES = ("norm", "fc_norm", "attn_pool", "head", "head_dist")           # of the parameters after the layers


def forward(x, params, pool="cls", first=1, eps=1e-6):
    """Final norm, read-out, logits. x: (B, T, D). params: norm ("fc_norm" where pool is "mean"), and head if any.

    first: how many tokens stand before those that the mean is taken over. Returns the logits (B, K), or the
    representation (B, D) where there is no head, and the cache.
    """
    pooled = x[:, 0] if pool == "cls" else x[:, first:].mean(axis=1)         # (B, D)
    name = norm_name(pool)
    y, norm_cache = layer_norm.forward(pooled, params[name], eps)                       # (B, D)
    head_cache = None
    if "head" in params:
        y, head_cache = linear.forward(y, params["head"])                               # (B, K)
    return y, (x.shape, pool, first, norm_cache, head_cache)


def backward(dy, cache):
    """Gradients of `forward`. dy: (B, K). Returns dx (B, T, D) and grads.

    "cls": only the [CLS] row of the last layer gets a gradient; "mean": every patch gets the same N-th part.
    """
    shape, pool, first, norm_cache, head_cache = cache
    dhead = {}
    if head_cache is not None:
        dy, dhead["head"] = linear.backward(dy, head_cache)                             # (B, D)
    dpooled, dnorm = layer_norm.backward(dy, norm_cache)                                # (B, D)
    dx = np.zeros_like(dpooled, shape=shape)                                            # (B, T, D)
    if pool == "cls":
        dx[:, 0] = dpooled
    else:
        dx[:, first:] = dpooled[:, None] / (shape[1] - first)
    return dx, {norm_name(pool): dnorm, **dhead}


def tokens_read(pool):
    """A slice of the tokens: those of the last layer that a head needs; for the mean all, [CLS] with them."""
    return {"cls": slice(0, 1), "distilled": slice(0, 2)}.get(pool, ALL)


def norm_name(pool):
    """timm's name of the final LayerNorm: `norm` before a read-out, `fc_norm` after average pooling."""
    return "fc_norm" if pool == "mean" else "norm"
