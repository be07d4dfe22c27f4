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
    components, _ = filter_components(weight)
    figure, axes = _two_sheets_and_a_plot()
    _draw_sheet(axes[0], as_pictures(np.asarray(weight).T[:count], patch_size),
                f"{count} of the {weight.shape[1]} filters")
    _draw_sheet(axes[1], as_pictures(components[:count], patch_size), f"the first {count} principal components")
    _draw_shares(axes[2], {"trained": weight} | ({} if random_weight is None else {"random": random_weight}))
    return figure


@styled
def filters_before_and_after_figure(start, trained, patch_size, random_weight, count=28):
    """The same `count` filters at the start and trained, and the variance explained by the components of each.

    start, trained: (P²C, D) each. random_weight: one without any order, whose curve is drawn for comparison.
    """
    figure, axes = _two_sheets_and_a_plot()
    for ax, weight, title in ((axes[0], start, f"{count} of the {start.shape[1]} filters at the start"),
                              (axes[1], trained, "the same filters, trained")):
        _draw_sheet(ax, as_pictures(np.asarray(weight).T[:count], patch_size), title)
    _draw_shares(axes[2], {"trained": trained, "random": random_weight, "start": start})
    return figure


def _two_sheets_and_a_plot():
    """A figure and its three axes; the sheets end where they like, whatever the plot's labels need below."""
    figure = plt.figure(figsize=(WIDTH, 2.45))
    sheets, plot = figure.subfigures(1, 2, width_ratios=(2.5, 1.1))
    return figure, (*sheets.subplots(1, 2), plot.subplots())


def _draw_shares(ax, weights):
    """The variance explained by the first components of each weight. weights: {name: (P²C, D)}."""
    for (name, weight), colour, line in zip(weights.items(), COLOURS, ("-", "--", ":")):
        share = filter_components(weight)[1]
        ax.plot(np.arange(1, len(share) + 1), 100 * share.cumsum(), line, color=colour, label=name)
    ax.set(xlabel="principal components", ylabel="variance explained (%)", ylim=(0, 102))
    ax.legend(loc="lower right")


def _draw_sheet(ax, pictures, title, columns=7):
    """Small pictures (n, P, P, 3) beside each other."""
    for n, picture in enumerate(pictures):
        row, column = divmod(n, columns)
        ax.imshow(picture, extent=(column + 0.06, column + 0.94, row + 0.94, row + 0.06))
    ax.set(xlim=(0, columns), ylim=(-(-len(pictures) // columns), 0), title=title)
    bare(ax)
