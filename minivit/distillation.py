"""Two heads: DeiT's distilled models read a second token beside [CLS] (Touvron et al. 2020, arXiv 2012.12877, sec. 4).

    logits = (y_cls W + b + y_dist W' + b') / 2

The distillation token learned what a convolutional teacher answered, [CLS] what the label said; the mean of both is the
model's answer. A model without classes ends at the mean of the two representations.
"""

import numpy as np

from . import linear


def forward(y, params):
    """y: (B, 2, D), [CLS] and the distillation token after the final norm. params: head and head_dist, or neither.

    Returns the logits (B, K), or the mean (B, D), and the cache.
    """
    if "head" not in params:
        return y.mean(axis=1), None
    logits, head_cache = linear.forward(y[:, 0], params["head"])                        # (B, K)
    logits_dist, dist_cache = linear.forward(y[:, 1], params["head_dist"])              # (B, K)
    return 0.5 * (logits + logits_dist), (head_cache, dist_cache)


def backward(dlogits, cache):
    """Gradients of `forward`: each head has half of dlogits (B, K). Returns dy (B, 2, D) and grads."""
    if cache is None:
        return 0.5 * dlogits[:, None].repeat(2, axis=1), {}
    head_cache, dist_cache = cache
    dy, dhead = linear.backward(0.5 * dlogits, head_cache)                              # (B, D)
    dy_dist, ddist = linear.backward(0.5 * dlogits, dist_cache)                         # (B, D)
    return np.stack([dy, dy_dist], axis=1), {"head": dhead, "head_dist": ddist}
