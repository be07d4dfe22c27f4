"""Deletion: paint over first what a map ranks highest, and see how fast the answer is lost (arXiv 1806.07421).

    p(class | image with the k highest patches painted over), for growing k

The steeper it falls, the better the map has found what the answer rests on. How steep is steep? As many random orders
tell, on the same images: what counts is the difference from them, with its standard error over the images.
"""

import matplotlib.pyplot as plt
import numpy as np

from ...loss import log_softmax
from ..style import COLOURS, FAINT, WIDTH, styled
from .occlusion import painted_over


def deletion_curves(model, x, classes, maps, counts):
    """Each image's probability of its class with `counts` patches painted over, the highest first: (B, len(counts)).

    x: (B, H, W, 3). classes: (B,). maps: (B, rows, columns).
    """
    order = np.argsort(-maps.reshape(len(x), -1), axis=1, kind="stable")                                # (B, N)
    curves = []
    for count in counts:
        log_p = log_softmax(model(painted_over(x, order[:, :count], model.config)))                     # (B, K)
        curves.append(np.exp(log_p[np.arange(len(x), like=x), np.asarray(classes, like=x)]))
    return np.stack(curves, axis=1)


def mean_and_error(values):
    """The mean of independent values (n,) and its standard error, their standard deviation over √n."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


@styled
def deletion_figure(counts, curves, random, num_patches):
    """Left the mean curves; right how far each map's mean over `counts` lies below random orders', with two errors.

    curves: {name: (B, len(counts))}. random: (orders, B, len(counts)), in grey. The bars are twice the standard error
    over the images, about a 95 % interval. Returns a figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.8), width_ratios=(3, 2))
    for order in random:
        left.plot(counts, order.mean(axis=0), color=FAINT, linewidth=0.8, alpha=0.6)
    left.plot([], [], color=FAINT, label=f"{len(random)} random orders")
    for place, ((name, curve), colour) in enumerate(zip(curves.items(), COLOURS)):
        left.plot(counts, curve.mean(axis=0), color=colour, marker="o", label=name)
        mean, error = mean_and_error((curve - random.mean(axis=0)).mean(axis=1))
        right.errorbar(mean, place, xerr=2 * error, color=colour, marker="o", capsize=4)
    left.set(xlabel=f"patches painted over (of {num_patches})", ylabel="mean probability of the first answer",
             ylim=(0, None))
    left.legend()
    right.axvline(0, color=FAINT, linestyle="--", linewidth=1)
    right.set(yticks=range(len(curves)), yticklabels=list(curves), ylim=(len(curves) - 0.5, -0.5),
              xlabel="probability, minus that of random orders")
    return figure
