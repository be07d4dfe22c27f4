"""Patch dropout: in training, each image shows only some of its patches (Liu et al. 2022, arXiv 2208.07220).

    y = the tokens of x at the places kept          [CLS] and its like always among them

Positions have been added before, so a token knows where it stands and attention does not miss the others. A step costs
about the share of the tokens that are kept, and hardly two epochs show an image alike.
"""

import numpy as np


def draw(rng, images, config, share):
    """The places of the tokens that each image keeps, (images, S), in their order; None for all, where share is 0.

    share: of the N patches, how many to leave out, rounded; one is always kept. S counts the tokens before the patches.
    """
    if share == 0:
        return None
    count = max(1, round(config.num_patches * (1 - share)))
    patches = np.sort(rng.random((images, config.num_patches)).argsort(axis=1)[:, :count])      # (images, count)
    first = config.num_prefix
    return np.concatenate([np.tile(np.arange(first, dtype=patches.dtype), (images, 1)), patches + first], axis=1)


def forward(x, kept):
    """The tokens kept. x: (B, T, D). kept: (B, S) on the device of x, or None. Returns y (B, S, D) and the cache."""
    if kept is None:
        return x, None
    images = np.arange(len(x), like=x)[:, None]                         # (B, 1)
    return x[images, kept], (x.shape, images, kept)


def backward(dy, cache):
    """Gradient of `forward`: zero for the tokens left out. dy: (B, S, D). Returns dx (B, T, D)."""
    if cache is None:
        return dy
    shape, images, kept = cache
    dx = np.zeros_like(dy, shape=shape)                                 # (B, T, D)
    dx[images, kept] = dy                                               # no token is kept twice
    return dx
