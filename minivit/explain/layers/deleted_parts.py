"""What the answers lose when one part of one layer is deleted: its branch then adds nothing to the residual stream."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from ..style import COLOURS, FAINT, WIDTH, styled


@styled
def deleted_parts_figure(right, whole, count):
    """How many answers are right over the layers. right: {part: (L,)}. whole: of the whole network. count: of images.

    The bars are one standard error of a share of `count` images. Returns a figure.
    """
    figure, ax = plt.subplots(figsize=(0.75 * WIDTH, 3.5))
    for (part, values), colour, shift in zip(right.items(), COLOURS, (-0.06, 0.06)):
        share = np.asarray(values) / count
        error = np.sqrt(share * (1 - share) / count)
        ax.errorbar(np.arange(len(share)) + shift, 100 * share, 100 * error, color=colour, marker="o", capsize=3,
                    label=f"without its {part}")
    ax.axhline(100 * whole / count, color=FAINT, linestyle="--", linewidth=1, label="whole network")
    ax.set(xlabel="layer of which a part is deleted", ylabel="right (%)", ylim=(0, 100))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return figure
