"""What one output sees, drawn: gradient maps of a stack of convolutions above those of a ViT."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from ..style import COLOURS, WIDTH, styled

DECADES = 4


@styled
def reach_figure(rows, height_width):
    """Maps of |dL/dpixel| on one logarithmic scale, each relative to its own largest; exact zeros stay white.

    rows: [(name, [(title, gradient (H, W), place), …]), …]; place: (row, column) of the output, marked with a cross.
    """
    count = max(len(maps) for _, maps in rows)
    figure, axes = plt.subplots(len(rows), count, figsize=(WIDTH, 2.75 * len(rows)), squeeze=False,
                                sharex=True, sharey=True)
    norm = LogNorm(10.0 ** -DECADES, 1, clip=True)
    for row, (name, maps) in zip(axes, rows):
        row[0].set_ylabel(f"{name}\nrow (pixels)")
        for ax, (title, gradient, place) in zip(row, maps):
            relative = np.ma.masked_equal(gradient / gradient.max(), 0)
            mesh = ax.imshow(relative, norm=norm, extent=(-0.5, height_width[1] - 0.5, height_width[0] - 0.5, -0.5))
            ax.plot(place[1], place[0], "+", color=COLOURS[1], markersize=9, markeredgewidth=1.6)
            ax.set_title(title)
    for ax in axes[-1]:
        ax.set_xlabel("column (pixels)")
    figure.colorbar(mesh, ax=axes, label="|dL/dpixel|, relative to the largest", extend="min", shrink=0.8)
    return figure


@styled
def growth_figure(curves, side):
    """Receptive field against depth. curves: {name: [pixels after layer 1, 2, …]}; side: the image's, a dashed line."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.6))
    for name, fields in curves.items():
        ax.plot(range(1, len(fields) + 1), fields, marker=".", label=name)
    ax.axhline(side, color="black", linestyle="--", linewidth=1, label=f"the image's side, {side} px")
    ax.set(xscale="log", yscale="log", xlabel="layer", ylabel="receptive field (pixels)",
           title="How far one output can see")
    ax.legend(loc="lower right")
    return figure
