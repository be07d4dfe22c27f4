"""Stochastic depth: in training, an image skips a layer now and then (Huang et al. 2016, arXiv 1603.09382, sec. 3.1).

    y = x                                   for the images that skip the layer, each with the probability p
    y = x + (layer(x) - x) / (1 - p)        for the others, so that the expectation of y is what evaluation computes

p rises evenly from 0 at the first layer to its full value at the last: later layers can do without each other more
easily. Images that skip a layer cost nothing there. (The paper scales in evaluation instead, by 1 - p.)
"""

from dataclasses import dataclass

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


@dataclass
class Layer:
    """An encoder layer that only some images take; `vit` calls it in the place of the module `layer`.

    taking: the places (b,) of these images, on the device of x. rate: p.
    """

    taking: np.ndarray
    rate: float

    def forward(self, x, params, num_heads, eps=1e-6, activation="erf", with_cache=True, queries=ALL):
        """As `layer.forward`. x: (B, T, D). Returns y (B, t, D) and the cache."""
        scale = 1 / (1 - self.rate)
        y, layer_cache = x[:, queries].copy(), None                     # (B, t, D)
        if len(self.taking):
            part = x[self.taking]                                       # (b, T, D)
            added, layer_cache = layer.forward(part, params, num_heads, eps, activation, with_cache, queries)
            added -= part[:, queries]                                   # (b, t, D)
            added *= scale
            y[self.taking] += added
        return y, (self.taking, scale, layer_cache, params, x.shape, queries)

    def backward(self, dy, cache):
        """As `layer.backward`. dy: (B, t, D). Returns dx (B, T, D) and grads, zeros where every image skips."""
        taking, scale, layer_cache, params, shape, queries = cache
        dx = np.zeros_like(dy, shape=shape)                             # (B, T, D)
        dx[:, queries] = dy                                             # y contains x itself, for every image
        if not len(taking):
            return dx, tree_map(np.zeros_like, params)
        dadded = dy[taking] * scale                                     # (b, t, D)
        dpart, grads = layer.backward(dadded, layer_cache)              # (b, T, D)
        dpart[:, queries] -= dadded                                     # what is added is layer(x) - x
        dx[taking] += dpart
        return dx, grads
