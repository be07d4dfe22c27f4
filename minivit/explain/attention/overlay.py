"""Maps of several kinds laid over several images: a column per image, a row per kind of map."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import WIDTH, bare, styled
from .maps import draw_map


@styled
def overlay_figure(images, maps, titles):
    """The images, and below them each kind of map over the image in grey. Each map has its own scale, from 0.

    images: (B, H, W, 3), floats in [0, 1]. maps: {name: (B, rows, columns)}, not negative. titles: B. Returns a figure.
    """
    figure, axes = plt.subplots(1 + len(maps), len(images), squeeze=False,
                                figsize=(WIDTH, 0.4 + (1 + len(maps)) * WIDTH / (len(images) + 1)))
    for ax, image, title in zip(axes[0], images, titles):
        ax.imshow(np.clip(image, 0, 1))
        ax.set_title(title, fontsize=10)
    for row, (name, of_images) in zip(axes[1:], maps.items()):
        for ax, one, image in zip(row, of_images, images):
            draw_map(ax, one, one.max(), image)
        row[0].set_ylabel(name)
    axes[0][0].set_ylabel("image")
    for ax in axes.flat:
        bare(ax)
    return figure
