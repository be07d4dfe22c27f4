"""Patches becoming a sequence: a filmstrip from the picture to the matrix that the encoder reads."""

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ...images.preparation import denormalise
from ...patch_embedding import patchify
from ..relatives import tokens_before
from ..style import COLOURS, WIDTH, bare, draw_patch_lines, draw_picture, signed_limits, styled

MOST_IN_A_STRIP = 64


@styled
def sequence_figure(prediction):
    """From pixels to tokens in four frames and a matrix: the picture, the cut, the patches apart and numbered, the
    patches in a row (at most 64), and below each patch the D numbers it has become. Returns a matplotlib figure.
    """
    config, model = prediction.model.config, prediction.model
    picture = denormalise(to_device(prediction.x[0], "cpu"), model.preprocessing)                    # (H, W, 3)
    patches = patch_pictures(picture, config.patch_size)                                             # (N, P, P, 3)
    embedded = to_device(prediction.trace["embedded"], "cpu")[0]                                     # (T, D)
    figure = plt.figure(figsize=(WIDTH, 7.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    first, second, third = top.subplots(1, 3, width_ratios=(1, 1, 1.1))
    draw_picture(first, picture, f"1  the image: {config.height_width[0]} × {config.height_width[1]} pixels")
    draw_picture(second, picture, f"2  cut into patches of {config.patch_size} × {config.patch_size}")
    draw_patch_lines(second, config.height_width, config.patch_size)
    _draw_numbered(third, patches, config.grid)
    strip, matrix = bottom.subplots(2, 1, height_ratios=(0.12, 1))
    _draw_strip(strip, patches[:MOST_IN_A_STRIP], config)
    _draw_tokens(bottom, matrix, embedded[:MOST_IN_A_STRIP + config.num_prefix], config)
    return figure


def patch_pictures(picture, patch_size):
    """The patches of a picture (H, W, 3) in raster order, as small pictures (N, P, P, 3)."""
    return patchify(picture[None], patch_size)[0].reshape(-1, patch_size, patch_size, 3)


def _draw_numbered(ax, patches, grid):
    """Every patch apart from its neighbours, with its place in the sequence."""
    rows, columns = grid
    for n, patch in enumerate(patches):
        i, j = divmod(n, columns)
        ax.imshow(patch, extent=(j + 0.08, j + 0.92, i + 0.92, i + 0.08))
        if rows * columns <= MOST_IN_A_STRIP:
            shade = "white" if patch.mean() < 0.55 else "black"
            ax.text(j + 0.5, i + 0.52, str(n), ha="center", va="center", fontsize=8, color=shade)
    ax.set(xlim=(0, columns), ylim=(rows, 0), title=f"3  {rows} × {columns} patches in raster order")
    bare(ax)


def _draw_strip(ax, patches, config):
    names = tokens_before(config)
    first = len(names)
    for n in range(first):
        ax.add_patch(plt.Rectangle((n + 0.06, 0.06), 0.88, 0.88, facecolor=COLOURS[1]))
    after = "" if not first else ", after [CLS] (the orange token)" if names == ("[CLS]",) else \
        f", after {', '.join(names)} (the orange token{'s' * (first > 1)})"
    for n, patch in enumerate(patches, start=first):
        ax.imshow(patch, extent=(n + 0.06, n + 0.94, 0.94, 0.06), aspect="auto")
    ax.set(xlim=(0, len(patches) + first), ylim=(1, 0),
           title=f"4  the same patches as a sequence{after}")
    bare(ax)


def _draw_tokens(figure, ax, tokens, config):
    T, D = tokens.shape
    limit = float(np.quantile(np.abs(tokens), 0.995))
    mesh = ax.imshow(tokens.T, extent=(0, T, D, 0), aspect="auto",
                     **signed_limits(tokens) | {"vmin": -limit, "vmax": limit})
    ax.set(xlabel="token (its place in the sequence)", ylabel="feature",
           title=f"5  each token as {config.width} numbers: what the first layer reads")
    figure.colorbar(mesh, ax=ax, label="value", extend="both", pad=0.01)
