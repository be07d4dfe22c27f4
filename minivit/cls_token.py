"""[CLS] token: one learned vector, put before the patches, that will stand for the whole image.

BERT introduced it for text; the ViT paper takes it over (section 3.1, equation 1). Relatives put more such tokens
there: DeiT a distillation token, which is read out too, DINOv2 registers, which are not: the layers may keep in them
what they would else keep in patches of little content (Darcet et al. 2023, arXiv 2309.16588).
"""

import numpy as np

NAMES = ("reg_token", "dist_token", "cls_token")                        # from the patches outwards


def forward(x, params):
    """Prepend the same learned tokens to every image. x: (B, N, D). params: cls_token (1, 1, D).

    And dist_token (1, 1, D) and reg_token (1, R, D), where there are any: each is put before what was there, so the
    order of params is from the patches outwards. Returns tokens (B, T, D) and the cache: how many each of params has.
    """
    if not params:
        return x, {}
    tokens = [np.broadcast_to(token, (len(x), *token.shape[1:])) for token in reversed(params.values())]
    return np.concatenate([*tokens, x], axis=1), {name: token.shape[1] for name, token in params.items()}


def backward(dy, cache):
    """Gradients of `forward`. dy: (B, T, D). Returns dx (B, N, D) and grads.

    A token is shared by all images, so its gradient is the sum over the batch.
    """
    grads = {}
    for name, count in reversed(cache.items()):
        grads[name] = dy[:, :count].sum(axis=0, keepdims=True)          # (1, 1, D), or (1, R, D)
        dy = dy[:, count:]
    return dy, grads
