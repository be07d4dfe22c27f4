"""Where one token looks in every layer, over the image: the mean of the heads, its brightest patch framed."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, bare, styled
from .maps import attention_map, draw_map


def mean_maps(attention, grid, query=0, before=None):
    """What the token `query` gives to each patch, mean over heads: (L, rows, columns). attention: L of (H, T, T).

    before: as `maps.names_before` has it.
    """
    return np.stack([attention_map(a, query, grid, before).mean(axis=0) for a in attention])


@styled
def mean_maps_figure(image, attention, grid, query=0, before=None):
    """A panel per layer, from 0 to its own largest weight; the title says which patch has it, and how much it is.

    image: (H, W, 3), floats in [0, 1]. query: the token's number, 0 for [CLS]. before: as
    `maps.names_before` has it. Returns a figure.
    """
    maps = mean_maps(attention, grid, query, before)
    rows = -(-len(maps) // 6)                                           # six in a row at most
    columns = -(-len(maps) // rows)
    panel = min(WIDTH / columns, 2.5) + 0.85                            # its title included
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, panel * rows), squeeze=False)
    height, width = np.shape(image)[0] / grid[0], np.shape(image)[1] / grid[1]
    for layer, (ax, weights) in enumerate(zip(axes.flat, maps)):
        draw_map(ax, weights, weights.max(), image)
        row, column = np.unravel_index(weights.argmax(), grid)
        ax.add_patch(plt.Rectangle((column * width - 0.5, row * height - 0.5), width, height, fill=False, linewidth=2.5,
                                   edgecolor=COLOURS[2]))
        ax.set_title(f"layer {layer}\npatch {row * grid[1] + column}: {weights.max():.3f}")
    for ax in axes.flat:
        bare(ax)
    return figure
