"""The patch embedding's filters, and their principal components (ViT paper, figure 7 left)."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, bare, styled


def filter_components(weight):
    """Principal components of D filters. weight: (P²C, D). Returns components (n, P²C) and the share of variance (n,).

    Each column of the weight is one filter, a small picture of P²C numbers. The components are the directions in which
    the filters differ most from their mean, the strongest first. Of the two possible signs, the one whose largest
    element is positive.
    """
    filters = np.asarray(weight, np.float64).T                          # (D, P²C)
    centred = filters - filters.mean(axis=0)
    _, strengths, components = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(len(components)), largest])[:, None]
    return components, strengths ** 2 / (strengths ** 2).sum()


def as_pictures(filters, patch_size):
    """Signed filters (n, P²C) as pictures (n, P, P, 3) in [0, 1], each scaled by its own largest; grey is zero."""
    scale = np.abs(filters).max(axis=1, keepdims=True)
    return (0.5 + 0.5 * filters / scale).reshape(-1, patch_size, patch_size, 3)


@styled
def filters_figure(weight, patch_size, random_weight=None, count=28):
    """The first `count` filters, the first `count` principal components, and the variance explained by them all.

    random_weight: an untrained weight of the same shape, whose curve is drawn for comparison.
    """
    components, share = filter_components(weight)
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.9), width_ratios=(1.25, 1.25, 1))
    _draw_sheet(axes[0], as_pictures(np.asarray(weight).T[:count], patch_size),
                f"{count} of the {weight.shape[1]} filters")
    _draw_sheet(axes[1], as_pictures(components[:count], patch_size), f"the first {count} principal components")
    numbers = np.arange(1, len(share) + 1)
    axes[2].plot(numbers, 100 * share.cumsum(), color=COLOURS[0], label="trained")
    if random_weight is not None:
        random_share = filter_components(random_weight)[1]
        axes[2].plot(numbers, 100 * random_share.cumsum(), "--", color=COLOURS[1], label="random")
    axes[2].set(xlabel="principal components", ylabel="variance explained (%)", ylim=(0, 102))
    axes[2].legend(loc="lower right")
    return figure


def _draw_sheet(ax, pictures, title, columns=7):
    """Small pictures (n, P, P, 3) beside each other."""
    for n, picture in enumerate(pictures):
        row, column = divmod(n, columns)
        ax.imshow(picture, extent=(column + 0.06, column + 0.94, row + 0.94, row + 0.06))
    ax.set(xlim=(0, columns), ylim=(-(-len(pictures) // columns), 0), title=title)
    bare(ax)
