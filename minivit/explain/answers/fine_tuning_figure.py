"""Fine-tuning: the few pictures of the new classes, and how accuracy grows in several ways and repetitions."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, styled


@styled
def few_pictures_figure(pictures, labels, columns):
    """A row of `columns` pictures for each class. pictures: (n, H, W, 3). labels: (n,) texts. Returns a figure."""
    classes = sorted(set(labels))
    figure, axes = plt.subplots(len(classes), columns, squeeze=False,
                                figsize=(WIDTH * 0.8, WIDTH * 0.8 * len(classes) / columns))
    for axis_row, name in zip(axes, classes):
        of_class = np.flatnonzero(np.array(labels) == name)
        for ax, i in zip(axis_row, of_class):
            ax.imshow(pictures[i])
            ax.set(xticks=[], yticks=[])
        axis_row[0].set_ylabel(name)
    return figure


@styled
def repeated_curves_figure(steps, accuracies, guess):
    """Mean accuracy over the steps, with a bar of one standard deviation each way over the repetitions.

    The curves are moved a little apart along the steps, so that no bar hides another. steps: (S,). accuracies: {name:
    (repetitions, S) between 0 and 1}. guess: the share that guessing gets right.
    Returns a figure.
    """
    figure, ax = plt.subplots(figsize=(WIDTH * 0.8, 3.4))
    apart = np.ptp(steps) / 80
    for n, ((name, found), colour) in enumerate(zip(accuracies.items(), COLOURS)):
        beside = np.asarray(steps) + (n - (len(accuracies) - 1) / 2) * apart
        ax.errorbar(beside, 100 * found.mean(axis=0), 100 * found.std(axis=0, ddof=1), marker="o", markersize=4,
                    capsize=3, color=colour, label=name)
    ax.axhline(100 * guess, color="black", linestyle=":", linewidth=1, label="guessing")
    ax.set(xlabel="step", ylabel="right (%)")
    ax.grid(alpha=0.3)
    ax.set_xticks(steps)
    ax.legend(loc="upper left")
    return figure
