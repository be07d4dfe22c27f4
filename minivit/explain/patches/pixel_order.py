"""The order in which pixels lie in memory, before and after an image is cut into patches."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, bare, styled


@styled
def pixel_order_figure(crop, patch_size):
    """A small square of a picture (side, side, 3), its pixels in memory order as the image has them, and as patches.

    Above each pixel of the two lines: a bar in the colour of the patch it belongs to. The image's order deals the
    patches out in pieces of P pixels; reshape and transpose bring each patch together.
    """
    side, P = len(crop), patch_size
    across = side // P
    row, column = np.divmod(np.arange(side * side), side)
    owner = (row // P) * across + column // P                           # the patch of each pixel, in image order
    together = np.arange(side * side).reshape(across, P, across, P).transpose(0, 2, 1, 3).ravel()
    figure = plt.figure(figsize=(WIDTH, 3.5))
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2.4))
    ax = left.subplots()
    ax.imshow(crop)
    for n in range(across * across):
        i, j = divmod(n, across)
        ax.add_patch(plt.Rectangle((j * P - 0.42, i * P - 0.42), P - 0.16, P - 0.16, fill=False, linewidth=3,
                                   edgecolor=COLOURS[n % len(COLOURS)]))
        ax.text(j * P + P / 2 - 0.5, i * P + P / 2 - 0.5, str(n), ha="center", va="center", fontsize=15,
                color="white", fontweight="bold")
    ax.set(xlabel="column (pixels)", ylabel="row (pixels)", title=f"{across * across} patches of {P} × {P}")
    pixels = crop.reshape(side * side, 3)
    lines = right.subplots(2, 1)
    for ax, order, title in ((lines[0], np.arange(side * side), "in memory as an image: row by row of the image"),
                             (lines[1], together, "after reshape and transpose: patch by patch")):
        ax.imshow(pixels[order][None], extent=(0, side * side, 1, 0), aspect="auto")
        for place, n in enumerate(owner[order]):
            ax.add_patch(plt.Rectangle((place, -0.45), 1, 0.35, facecolor=COLOURS[n % len(COLOURS)], linewidth=0))
        ax.set(xlim=(0, side * side), ylim=(1, -0.5), title=title)
        bare(ax)
        ax.set(xticks=range(0, side * side + 1, side), xlabel="place in memory (pixels)")
    return figure
