"""The Jacobian of softmax as a matrix: how each weight answers to each score of its row."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, signed_limits, styled


def softmax_jacobian(weights):
    """diag(a) - a aᵀ for one row of weights (n,). Returns (n, n); entry (i, j) is daⱼ / dsᵢ, and it is symmetric."""
    return np.diag(weights) - np.outer(weights, weights)


@styled
def softmax_jacobian_figure(weights, names):
    """One row of weights (n,) as bars, its Jacobian, and the diagonal that is left where the rest is forgotten."""
    jacobian = softmax_jacobian(weights)
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.6))
    places = np.arange(len(weights))
    axes[0].bar(places, weights, color=COLOURS[0])
    axes[0].set_xticks(places, names, rotation=90)
    axes[0].set(xlabel="token looked at", ylabel="attention weight", title="a row of weights a")
    # The square root brings out the small entries off the diagonal; the colour bar is labelled with the entries.
    limits = signed_limits(np.sqrt(np.abs(jacobian)))
    for ax, matrix, title in ((axes[1], jacobian, "diag(a) − a aᵀ"),
                              (axes[2], np.diag(np.diag(jacobian)), "the diagonal alone: wrong")):
        mesh = ax.imshow(np.sign(matrix) * np.sqrt(np.abs(matrix)), **limits)
        ax.set_xticks(places, names, rotation=90)
        ax.set_yticks(places, names)
        ax.set(xlabel="weight j", ylabel="score i", title=title)
    ticks = np.array([-limits["vmax"], -limits["vmax"] / 2, 0, limits["vmax"] / 2, limits["vmax"]])
    bar = figure.colorbar(mesh, ax=axes[1:], label="daⱼ / dsᵢ", shrink=0.85, ticks=ticks)
    bar.ax.set_yticklabels([f"{np.sign(t) * t * t:.3f}" for t in ticks])
    return figure
