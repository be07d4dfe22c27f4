"""What becomes of the gradient on its way from the last layer to the first, with the residual sums and without."""

import matplotlib.pyplot as plt
import numpy as np

from ... import attention, layer_norm, mlp
from ..relatives import check_plain_layers
from ..style import COLOURS, WIDTH, styled


def cosine(a, b):
    """The cosine of the angle between two arrays, each taken as one long vector."""
    return float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b)))


def gradients_by_layer(z, blocks, num_heads, upstream, residual=True):
    """The gradients at the output of every layer, layer 0 first: a list of arrays (B, T, D).

    z: tokens (1, T, D). blocks: the layers' params. upstream: (B, T, D), B gradients at the last layer's output.
    residual: without, a layer is z' = MSA(LN(z)), z = MLP(LN(z')). Raises ValueError for layers with LayerScale or
    SwiGLU.
    """
    check_plain_layers(blocks)
    z, caches = np.repeat(z, len(upstream), axis=0), []
    for block in blocks:
        for section, arguments, norm in ((attention, (block["attn"], num_heads), "norm1"),
                                         (mlp, (block["mlp"],), "norm2")):
            normed, norm_cache = layer_norm.forward(z, block[norm])
            branch, cache = section.forward(normed, *arguments)
            z = z + branch if residual else branch
            caches.append((section, cache, norm_cache))
    dz, gradients = upstream, [upstream]
    for n, (section, cache, norm_cache) in enumerate(reversed(caches[2:]), start=1):
        dnormed, _ = section.backward(dz, cache)
        branch, _ = layer_norm.backward(dnormed, norm_cache)
        dz = dz + branch if residual else branch
        if n % 2 == 0:
            gradients.append(dz)
    return gradients[::-1]


def sizes_and_cosines(gradients):
    """Of `gradients_by_layer`: norms, the last layer's being 1, and cosines with the last layer's, (L, B) each."""
    last = gradients[-1]
    sizes = [[np.linalg.norm(g) / np.linalg.norm(u) for g, u in zip(gradient, last)] for gradient in gradients]
    return np.array(sizes), np.array([[cosine(g, u) for g, u in zip(gradient, last)] for gradient in gradients])


@styled
def gradient_flow_figure(flows, kinds):
    """Above the size of the gradient at each layer's output, below its direction; a column per kind of upstream.

    flows: {name: (sizes, cosines)}, arrays (draws, L, kinds). Lines are means over the draws, geometric for sizes;
    bands run from the lowest draw to the highest. Returns a matplotlib figure.
    """
    figure, axes = plt.subplots(2, len(kinds), figsize=(WIDTH, 5.4), sharex=True, sharey="row")
    for (name, measured), colour, marker in zip(flows.items(), COLOURS, "os"):
        for above, row, values in zip((True, False), axes, measured):
            for column, ax in enumerate(row):
                draws = values[..., column]                             # (draws, L)
                layers = np.arange(draws.shape[1])
                middle = np.exp(np.log(draws).mean(axis=0)) if above else draws.mean(axis=0)
                ax.plot(layers, middle, marker=marker, markersize=4, color=colour, label=name)
                ax.fill_between(layers, draws.min(axis=0), draws.max(axis=0), color=colour, alpha=0.2)
    for ax, kind in zip(axes[0], kinds):
        ax.set(yscale="log", title=kind)
        ax.axhline(1, color="#888888", linewidth=0.8)
    for ax in axes[1]:
        ax.axhline(0, color="#888888", linewidth=0.8)
        ax.set(xlabel="layer", ylim=(-0.2, 1.05))
    axes[0, 0].set_ylabel("size, last layer = 1")
    axes[1, 0].set_ylabel("cosine with the last layer's")
    axes[0, 0].legend()
    return figure
