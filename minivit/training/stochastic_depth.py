"""Stochastic depth: in training, an image skips a layer now and then (Huang et al. 2016, arXiv 1603.09382, section 3).

    y = x                                   for the images that skip the layer, each with the probability p
    y = x + (layer(x) - x) / (1 - p)        for the others, so that the expectation of y is what evaluation computes

p rises evenly from 0 at the first layer to its full value at the last: later layers can do without each other more
easily. Images that skip a layer cost nothing there. (The paper scales in evaluation instead, by 1 - p.)
"""

import numpy as np

from .. import layer
from ..trees import tree_map


def rates(num_layers, rate):
    """p of each layer: rate · i / (L - 1)."""
    return [rate * i / max(1, num_layers - 1) for i in range(num_layers)]


def draw(rng, images, num_layers, rate):
    """Which images take each layer: booleans (L, images)."""
    return rng.random((num_layers, images)) >= np.array(rates(num_layers, rate))[:, None]


def forward(x, params, taking, rate, num_heads, eps=1e-6, gelu="erf"):
    """One encoder layer, for some of the images. x: (B, T, D). params: the layer's.

    taking: the places (b,) of the images that take the layer, on the device of x, or None for all, with rate 0.
    rate: p. Returns y (B, T, D) and the cache.
    """
    if taking is None:
        y, layer_cache = layer.forward(x, params, num_heads, eps, gelu)
        return y, (None, 1.0, layer_cache, params)
    scale = 1 / (1 - rate)
    y, layer_cache = x.copy(), None
    if len(taking):
        part = x[taking]                                                # (b, T, D)
        added, layer_cache = layer.forward(part, params, num_heads, eps, gelu)
        added -= part
        added *= scale
        y[taking] += added
    return y, (taking, scale, layer_cache, params)


def backward(dy, cache):
    """Gradients of `forward`. dy: (B, T, D). Returns dx (B, T, D) and grads, zeros where every image skips."""
    taking, scale, layer_cache, params = cache
    if taking is None:
        return layer.backward(dy, layer_cache)
    dx = dy.copy()                                                      # y contains x itself, for every image
    if not len(taking):
        return dx, tree_map(np.zeros_like, params)
    dadded = dy[taking] * scale                                         # (b, T, D)
    dpart, grads = layer.backward(dadded, layer_cache)
    dpart -= dadded                                                     # what is added is layer(x) - x
    dx[taking] += dpart
    return dx, grads
