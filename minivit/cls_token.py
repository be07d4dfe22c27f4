"""[CLS] token: one learned vector, put before the patches, that will stand for the whole image.

BERT introduced it for text; the ViT paper takes it over (section 3.1, equation 1).
"""

import numpy as np


def forward(x, params):
    """Prepend the same learned token to every image. x: (B, N, D). params: cls_token (1, 1, D).

    Returns tokens (B, T, D) with T = N + 1, and the cache. A model without [CLS] has no such parameter: x is returned.
    """
    if "cls_token" not in params:
        return x, False
    B, _, D = x.shape
    cls = np.broadcast_to(params["cls_token"], (B, 1, D))
    return np.concatenate([cls, x], axis=1), True                       # (B, T, D)


def backward(dy, cache):
    """Gradients of `forward`. dy: (B, T, D). Returns dx (B, N, D) and grads.

    The token is shared by all images, so its gradient is the sum over the batch.
    """
    if not cache:
        return dy, {}
    dcls = dy[:, :1].sum(axis=0, keepdims=True)                         # (1, 1, D)
    return dy[:, 1:], {"cls_token": dcls}
