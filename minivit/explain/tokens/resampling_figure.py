"""The five ways to resample a line of positions, drawn side by side."""

import matplotlib.pyplot as plt
import numpy as np

from ...checkpoints.position_resampling import WAYS, weights
from ..style import COLOURS, WIDTH, styled


@styled
def resampling_figure(values, new_counts):
    """A line of values resampled to other lengths, each way a colour; every point where it stands over the image.

    values: (n,). new_counts: lengths, a panel each. The image's side is 1; a patch's place is its centre.
    """
    figure, axes = plt.subplots(1, len(new_counts), figsize=(WIDTH, 3.3), sharey=True)
    old = len(values)
    for ax, new in zip(axes, new_counts):
        ax.plot((np.arange(old) + 0.5) / old, values, "o", color="black", markersize=8, label=f"trained, {old} patches")
        for way, colour, marker in zip(WAYS, COLOURS, "sv^Dx"):
            ax.plot((np.arange(new) + 0.5) / new, weights(old, new, way) @ values, color=colour, marker=marker,
                    markersize=4, linewidth=1, label=way.replace("_", " "))
        ax.set(xlabel="place in the image (sides)", title=f"{old} → {new} patches")
    axes[0].set_ylabel("one feature of the embedding")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=1 + len(WAYS))
    return figure
