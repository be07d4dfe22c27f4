"""Stochastic depth: in training, an image skips a layer now and then (Huang et al. 2016, arXiv 1603.09382, section 3).

    y = x                                   for the images that skip the layer, each with the probability p
    y = x + (layer(x) - x) / (1 - p)        for the others, so that the expectation of y is what evaluation computes

p rises evenly from 0 at the first layer to its full value at the last: later layers can do without each other more
easily. Images that skip a layer cost nothing there. (The paper scales in evaluation instead, by 1 - p.)
"""

import numpy as np

from .. import layer
from ..attention import ALL
from ..trees import tree_map


def rates(num_layers, rate):
    """p of each layer: rate · i / (L - 1)."""
    return [rate * i / max(1, num_layers - 1) for i in range(num_layers)]


def draw(rng, images, num_layers, rate):
    """Which images take each layer: booleans (L, images)."""
    return rng.random((num_layers, images)) >= np.array(rates(num_layers, rate))[:, None]


def forward(x, params, taking, rate, num_heads, eps=1e-6, gelu="erf", asking=ALL):
    """One encoder layer, for some of the images. x: (B, T, D). params: the layer's.

    taking: the places (b,) of the images that take the layer, on the device of x, or None for all, with rate 0.
    rate: p. asking: a slice of the tokens, the t whose output is wanted. Returns y (B, t, D) and the cache.
    """
    if taking is None:
        y, layer_cache = layer.forward(x, params, num_heads, eps, gelu, asking=asking)
        return y, (None, 1.0, layer_cache, params, x.shape, asking)
    scale = 1 / (1 - rate)
    y, layer_cache = x[:, asking].copy(), None                          # (B, t, D)
    if len(taking):
        part = x[taking]                                                # (b, T, D)
        added, layer_cache = layer.forward(part, params, num_heads, eps, gelu, asking=asking)      # (b, t, D)
        added -= part[:, asking]
        added *= scale
        y[taking] += added
    return y, (taking, scale, layer_cache, params, x.shape, asking)


def backward(dy, cache):
    """Gradients of `forward`. dy: (B, t, D). Returns dx (B, T, D) and grads, zeros where every image skips."""
    taking, scale, layer_cache, params, shape, asking = cache
    if taking is None:
        return layer.backward(dy, layer_cache)
    dx = np.zeros_like(dy, shape=shape)                                 # (B, T, D)
    dx[:, asking] = dy                                                  # y contains x itself, for every image
    if not len(taking):
        return dx, tree_map(np.zeros_like, params)
    dadded = dy[taking] * scale                                         # (b, t, D)
    dpart, grads = layer.backward(dadded, layer_cache)
    dpart[:, asking] -= dadded                                                     # what is added is layer(x) - x
    dx[taking] += dpart
    return dx, grads
