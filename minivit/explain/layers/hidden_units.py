"""What a hidden unit of the MLP answers to: the patches, of many images, at which it is most active."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import WIDTH, bare, styled


def most_active(hidden, unit, count, grid):
    """The `count` patches where a unit is most active: a list of (image, row, column, activity), largest first.

    hidden: (B, T, M) of one layer, after GELU. grid: (rows, columns) of patches; [CLS] is left out.
    """
    rows, columns = grid
    activity = hidden[:, hidden.shape[1] - rows * columns:, unit]       # (B, N)
    best = np.argsort(-activity, axis=None, kind="stable")[:count]
    images, patches = np.unravel_index(best, activity.shape)
    return [(int(b), int(n) // columns, int(n) % columns, float(activity[b, n])) for b, n in zip(images, patches)]


def surroundings(images, image, row, column, patch_size, margin=1):
    """The patch with `margin` patches around it, grey beyond the edge: uint8 ((1 + 2 margin) P, …, 3)."""
    P = patch_size
    padded = np.pad(images[image], ((margin * P,) * 2, (margin * P,) * 2, (0, 0)), constant_values=128)
    return padded[row * P:(row + 1 + 2 * margin) * P, column * P:(column + 1 + 2 * margin) * P]


@styled
def hidden_units_figure(hidden, images, units, patch_size, count=8, title=None):
    """A row a unit: its `count` most active patches, framed in the middle of their surroundings.

    hidden: (B, T, M) of one layer. images: uint8 (B, H, W, 3), the size the model reads. Returns a figure.
    """
    grid = (images.shape[1] // patch_size, images.shape[2] // patch_size)
    figure, axes = plt.subplots(len(units), count, figsize=(WIDTH, 1.22 * len(units) + 0.4), squeeze=False)
    for unit, row_axes in zip(units, axes):
        for ax, (image, row, column, activity) in zip(row_axes, most_active(hidden, unit, count, grid)):
            ax.imshow(surroundings(images, image, row, column, patch_size))
            ax.add_patch(plt.Rectangle((patch_size - 0.5,) * 2, patch_size, patch_size, fill=False, edgecolor="white"))
            ax.set_title(f"{activity:.1f}", fontsize=9, pad=2)
            bare(ax)
        row_axes[0].set_ylabel(f"unit {unit}")
    figure.suptitle(title)
    return figure
