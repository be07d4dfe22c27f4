"""Sine-cosine positions drawn: features on the grid of patches, and which places look alike; and DINO's 0.1."""

import matplotlib.pyplot as plt
import numpy as np

from ...checkpoints.position_resampling import weights
from ..style import COLOURS, FAINT, WIDTH, bare, signed_limits, styled
from .position_similarity import similarity_tiles


@styled
def sincos_figure(table, grid, patch, count=4):
    """Above: `count` features of each quarter of the table on the grid. Below: the table, and one patch's likenesses.

    table: (N, D) as `position_embedding.sincos_2d` makes it. patch: (row, column). Returns a figure.
    """
    D = table.shape[1]
    quarters = ("sin of the column", "cos of the column", "sin of the row", "cos of the row")
    figure = plt.figure(figsize=(WIDTH, 5.6))
    above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    axes = above.subplots(2, 2 * count)
    for quarter, (name, row) in enumerate(zip(quarters, axes.reshape(4, count))):
        for k, ax in enumerate(row):
            feature = quarter * D // 4 + k * (D // 4) // (2 * count)
            ax.imshow(table[:, feature].reshape(grid), **signed_limits(1.0))
            ax.set_title(f"feature {feature}", fontsize=9)
            bare(ax)
        row[0].set_ylabel(name, fontsize=9)
    left, right = below.subplots(1, 2, width_ratios=(2.2, 1))
    mesh = left.imshow(table, aspect="auto", **signed_limits(1.0))
    left.set(xlabel="feature", ylabel="patch", title="the table: a row per patch")
    below.colorbar(mesh, ax=left, label="value")
    tiles = similarity_tiles(table, grid)[patch]
    mesh = right.imshow(tiles, vmin=tiles.min(), vmax=1)
    right.set(title=f"cosine with row {patch[0]}, column {patch[1]}", xlabel="column", ylabel="row")
    below.colorbar(mesh, ax=right)
    return figure


@styled
def shift_figure(old, sides):
    """Where each new position is taken from, with DINO's 0.1 less without it, in points of the trained grid.

    old: points a side of the trained grid. sides: new ones. Markers are read off the resampling's own matrices, away
    from the border; lines are the formula's. Returns a figure.
    """
    figure, ax = plt.subplots(figsize=(0.75 * WIDTH, 3.2))
    for side, colour in zip(sides, COLOURS):
        places = np.arange(side)
        ax.plot(places / (side - 1), (places + 0.5) * (old / (side + 0.1) - old / side), color=colour, linewidth=1,
                label=f"{old} → {side}")
        inner = slice(3, side - 3)
        ax.plot((places / (side - 1))[inner], measured_shift(old, side)[inner], "o", color=colour, markersize=3)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.set(xlabel="place in the new grid (0: first, 1: last)", ylabel="shift (trained grid points)")
    ax.legend()
    return figure


def measured_shift(old, new):
    """(new,): how far the 0.1 moves each new position, read off the matrices: they are applied to the old places."""
    return (weights(old, new, "dino") - weights(old, new, "hugging_face")) @ np.arange(old)
