"""The first images that a classifier gets right, and the first that it gets wrong, with what it says and how sure."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, bare, styled


def in_turn(labels, said):
    """The images' numbers (n,) in an order in which the classes take turns, the right ones and the wrong ones apart.

    The first K right ones are one of each class, the next K another of each, as long as there are any; so with the
    wrong ones. labels, said: (n,).
    """
    right, seen, turns = said == labels, {}, []
    for label, is_right in zip(labels.tolist(), right.tolist()):
        turns.append(seen.get((label, is_right), 0))
        seen[label, is_right] = turns[-1] + 1
    return np.lexsort((labels, turns))


@styled
def right_and_wrong_figure(images, labels, probabilities, names, across=8):
    """Two rows: the first `across` images that are right, and the first that are wrong.

    images: (n, H, W, 3). labels: (n,). probabilities: (n, K). names: of the K classes. Above each image what the model
    says and its probability in %; in the lower row, below it, what is true. Returns a figure.
    """
    said = probabilities.argmax(axis=1)
    figure, axes = plt.subplots(2, across, figsize=(WIDTH, 2 * WIDTH / across + 1.1))
    for row, (chosen, colour) in zip(axes, ((np.flatnonzero(said == labels), COLOURS[2]),
                                            (np.flatnonzero(said != labels), COLOURS[1]))):
        for ax, n in zip(row, chosen):
            ax.imshow(images[n])
            ax.set_title(f"{names[said[n]]}\n{100 * probabilities[n, said[n]]:.0f} %", color=colour)
            if said[n] != labels[n]:
                ax.set_xlabel(f"is: {names[labels[n]]}", fontsize=9.5)
        for ax in row:
            bare(ax)
    axes[0, 0].set_ylabel("right")
    axes[1, 0].set_ylabel("wrong")
    return figure
