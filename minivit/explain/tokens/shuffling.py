"""Shuffling an image's patches: what a network without positions cannot notice."""

import matplotlib.pyplot as plt
import numpy as np

from ...patch_embedding import patchify, unpatchify
from ..style import COLOURS, WIDTH, draw_picture, styled


def shuffle_patches(x, patch_size, order):
    """Images whose patch n is the original's patch order[n]. x: (B, H, W, C). Returns (B, H, W, C)."""
    grid = (x.shape[1] // patch_size, x.shape[2] // patch_size)
    return unpatchify(patchify(x, patch_size)[:, order], patch_size, grid)


@styled
def shuffle_figure(picture, shuffled, labels, **answers):
    """A picture, the same shuffled, and what models say of both.

    answers: {name of the model: (probabilities of the picture (K,), of the shuffled one (K,))}. Returns a figure.
    """
    ratios = (1, 1, *[1.25] * len(answers))
    figure, axes = plt.subplots(1, 2 + len(answers), figsize=(WIDTH, 3), width_ratios=ratios)
    draw_picture(axes[0], picture, "the patches in order")
    draw_picture(axes[1], shuffled, "shuffled")
    places = np.arange(len(labels))
    for ax, (name, pair) in zip(axes[2:], answers.items()):
        for offset, probabilities, label, colour in ((-0.2, pair[0], "in order", COLOURS[0]),
                                                     (0.2, pair[1], "shuffled", COLOURS[1])):
            ax.barh(places + offset, 100 * np.asarray(probabilities), height=0.4, color=colour, label=label)
        ax.set_yticks(places, labels)
        ax.invert_yaxis()
        ax.set(xlim=(0, 100), xlabel="probability (%)", title=name.replace("_", " "))
        ax.legend(loc="best")
    return figure
