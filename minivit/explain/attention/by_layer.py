"""All of a model's attention from one token: a row per head, a column per layer."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import WIDTH, bare, styled
from .maps import attention_map, draw_map


@styled
def attention_by_layer_figure(attention, grid, query=0, title=None, image=None, before=None):
    """Where a token looks in every head of every layer. attention: one array (H, T, T) a layer. Returns a figure.

    query: the token's number, 0 for [CLS]. image: (H, W, 3), drawn under every map in grey, where one is given.
    before: as `maps.names_before` has it. All maps share a scale, which ends at their 99.5th percentile so that a
    single sharp head does not leave the others black.
    """
    maps = np.stack([attention_map(a, query, grid, before) for a in attention])             # (L, H, rows, columns)
    L, H = maps.shape[:2]
    figure, axes = plt.subplots(H, L, figsize=(WIDTH, min(1.5, 0.93 * WIDTH / L) * H + 0.6), squeeze=False)
    for h in range(H):
        for layer in range(L):
            ax = axes[h][layer]
            mesh = draw_map(ax, maps[layer, h], np.percentile(maps, 99.5), image)
            bare(ax)
            if h == 0:
                ax.set_title(f"layer {layer}")
        axes[h][0].set_ylabel(f"head {h}")
    figure.colorbar(mesh, ax=axes.ravel().tolist(), label="weight", extend="max", fraction=0.03, pad=0.01)
    figure.suptitle(title)
    return figure
