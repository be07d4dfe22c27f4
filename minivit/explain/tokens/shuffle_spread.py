"""How far shuffling moves the answers of many images: one image may be special, the distribution is not."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, styled


@styled
def shuffle_spread_figure(changes, chosen=None):
    """Histogram of how far each image's answer moves. changes: (B,), between 0 and 1. chosen: the image to mark."""
    figure, ax = plt.subplots(figsize=(WIDTH * 0.75, 2.9))
    ax.hist(changes, np.linspace(0, 1, 21), color=COLOURS[0], rwidth=0.95, label=f"{len(changes)} images")
    ax.axvline(np.median(changes), color="black", linestyle="--", label="median")
    if chosen is not None:
        ax.axvline(changes[chosen], color=COLOURS[1], label="the picture above")
    ax.set(xlabel="largest change of a probability when the patches are shuffled", ylabel="images", xlim=(0, 1))
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    return figure
