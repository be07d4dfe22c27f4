"""Pictures and those nearest to them, and a map on which alike pictures lie together."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from ..style import COLOURS, WIDTH, styled


@styled
def neighbours_figure(pictures, asked, nearest, labels):
    """A row for each picture asked about, and its nearest beside it, framed where the label is the same.

    pictures: (n, H, W, 3). asked: (r,). nearest: (r, k), the nearest first. labels: (n,) texts. Returns a figure.
    """
    rows, columns = len(asked), 1 + nearest.shape[1]
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH * 0.8, WIDTH * 0.8 * rows / columns * 1.12),
                                squeeze=False)
    for axis_row, i, others in zip(axes, asked, nearest):
        for k, (ax, j) in enumerate(zip(axis_row, [i, *others])):
            ax.imshow(pictures[j])
            ax.set(xticks=[], yticks=[])
            if k == 0:
                ax.set_ylabel(labels[i], fontsize=9)
            colour = "black" if k == 0 else COLOURS[2] if labels[j] == labels[i] else COLOURS[1]
            for spine in ax.spines.values():
                spine.set(visible=True, color=colour, linewidth=1 if k == 0 else 3)
    axes[0, 0].set_title("asked", fontsize=10)
    for k, ax in enumerate(axes[0, 1:], start=1):
        ax.set_title(f"{k}.", fontsize=10)
    return figure


@styled
def picture_map(pictures, places, groups, title=None):
    """Pictures at their places on a map, framed in the colour of their group. places: (n, 2). groups: (n,) numbers."""
    figure, ax = plt.subplots(figsize=(WIDTH, WIDTH * 0.72))
    colours = plt.get_cmap("tab10")
    for picture, place, group in zip(pictures, places, groups):
        box = OffsetImage(picture, zoom=0.62)
        box.image.axes = ax
        frame = {"edgecolor": colours(group % 10), "linewidth": 2}
        ax.add_artist(AnnotationBbox(box, place, pad=0.12, bboxprops=frame))
    low, high = places.min(axis=0), places.max(axis=0)
    margin = 0.06 * (high - low)
    ax.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]),
           xticks=[], yticks=[], title=title)
    return figure


def principal_plane(y):
    """(n, 2): where each row of y (n, D) lies on the plane along which the rows differ most (PCA)."""
    centred = y - y.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)      # (D, D), the widest first
    return centred @ directions[:2].T
