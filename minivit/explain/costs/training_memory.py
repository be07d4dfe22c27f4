"""What training needs in memory: weights, their gradients, the optimiser's two moments, and activations, in numbers.

    state         4 n                                       n parameters: weights, gradients, AdamW's two moments
    activations   B (L - 1) T (8D + 2M + 2) + B (…)         what the forward pass keeps for the backward pass

The last layer keeps less, since of its tokens only those that the head reads go on; `cached_numbers` counts what is
really kept, and the two agree.
"""

import matplotlib.pyplot as plt
import numpy as np

from ...counting import parameter_count
from ..style import COLOURS, WIDTH, styled


def cached_numbers(cache):
    """How many numbers the arrays of a cache hold. Views of one array count once; weights, in dicts, do not count."""
    owners = {id(owner): owner for owner in map(_owner, _arrays(cache))}
    return sum(owner.size for owner in owners.values())


def activation_count(config):
    """Numbers that `vit.forward` keeps for one image, [CLS] read-out: the formula, layer by layer.

    A layer keeps x̂ and 1/σ of both LayerNorms and what they return, 2 (2D + 1) per token; q, k, v and the merged heads,
    4D; and of the MLP, GELU's slope and result, 2M, of SwiGLU both halves of its input and its result, 3M. LayerScale
    keeps what it scales, 2D; a norm before the layers x̂ and 1/σ. Attention weights are computed anew. Raises ValueError
    for another read-out.
    """
    if config.pool != "cls":
        raise ValueError(f'expected a model that reads [CLS], pool="cls", found pool="{config.pool}"')
    D, M, T = config.width, config.mlp_width, config.num_tokens
    hidden, scaled = (2 + config.gated_mlp) * M, 2 * D * config.layer_scale
    layer = T * (8 * D + hidden + 2 + scaled)
    last = T * (5 * D + 1) + 3 * D + hidden + 1 + scaled                # [CLS] alone goes through its MLP
    head = (2 * D if config.num_classes else D) + 1
    start = config.num_patches * config.patch_size ** 2 * 3 + T * (D + 1) * config.norm_pre
    return start + (config.num_layers - 1) * layer + last + head


@styled
def training_memory_figure(configs, batches, itemsize=4):
    """Bars of GB: weights, gradients and moments, and activations for each number of images. configs: {name: config}.

    The bars are drawn on a logarithmic axis side by side, so that small models show beside large ones.
    """
    figure, ax = plt.subplots(figsize=(WIDTH, 4))
    places, width = np.arange(len(configs)), 0.8 / (len(batches) + 2)
    n = np.array([parameter_count(c) for c in configs.values()])
    rows = {"weights": n, "weights, gradients, two moments": 4 * n}
    rows |= {f"activations, {B} image{'s' * (B > 1)}": B * np.array([activation_count(c) for c in configs.values()])
             for B in batches}
    for k, ((label, numbers), colour) in enumerate(zip(rows.items(), COLOURS)):
        ax.bar(places + (k - len(rows) / 2 + 0.5) * width, itemsize * numbers / 1e9, width, color=colour, label=label)
    ax.set_xticks(places, list(configs))
    ax.set(yscale="log", ylabel=f"GB, {itemsize} bytes per number")
    ax.grid(axis="y", alpha=0.3)
    ax.legend(loc="upper left")
    return figure


def _arrays(cache):
    if isinstance(cache, np.ndarray):
        yield cache
    elif isinstance(cache, (tuple, list)):
        for part in cache:
            yield from _arrays(part)


def _owner(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
