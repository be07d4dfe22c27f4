"""The figure of one prediction: what `p.show()` and `minivit explain` draw."""

from itertools import islice

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ...images.preparation import denormalise
from ..showing import Figure
from ..style import COLOURS, WIDTH, bare, draw_picture, styled

MOST_IMAGES = 8


@styled
def prediction_figure(prediction):
    """A row an image, the first eight of a batch: the image as the model reads it, its patches, where the last layer
    looks from [CLS], or attention pooling (mean over the heads), and the five likeliest classes. Returns a matplotlib
    figure.
    """
    members = list(islice(prediction, MOST_IMAGES))
    figure, axes = plt.subplots(len(members), 4, figsize=(WIDTH, 2.9 * len(members)), squeeze=False,
                                width_ratios=(1, 1, 1.25, 0.95), FigureClass=Figure)
    for member, row in zip(members, axes):
        _draw_row(figure, row, member)
    return figure


def cls_attention(prediction, layer=-1):
    """Where one layer looks from [CLS], mean over the heads, as the grid of patches (rows, columns).

    It sums to one minus what [CLS] gives to the tokens before the patches, itself among them. Without [CLS]: the mean
    over all patches as queries; of attention pooling, where its query looks, whatever the layer.
    """
    config = prediction.model.config
    if config.pool == "map":
        queries = to_device(prediction.trace["pool.attention"], "cpu")[0]                  # (H, 1, n)
    else:
        maps = to_device(prediction.attention[layer], "cpu")                               # (H, T, T)
        queries = maps[:, :1] if config.class_token else maps[:, config.num_prefix:]       # (H, 1 or N, T)
    return queries.mean(axis=(0, 1))[-config.num_patches:].reshape(config.grid)


def _draw_row(figure, row, prediction):
    config = prediction.model.config
    picture = denormalise(to_device(prediction.x[0], "cpu"), prediction.model.preprocessing)         # (H, W, 3)
    height, width = config.height_width
    draw_picture(row[0], picture, f"the model's input\n{height} × {width} pixels")
    _draw_patches(row[1], picture, config)
    seen_from = "attention from [CLS]\nlast layer" if config.class_token else "attention from all patches\nlast layer"
    if config.pool == "map":
        seen_from = "attention of the pooling\nlearned query"
    mesh = row[2].imshow(cls_attention(prediction), vmin=0)
    row[2].set(title=f"{seen_from}, mean of {config.num_heads} heads",
               xlabel="column (patches)", ylabel="row (patches)")
    figure.colorbar(mesh, ax=row[2], label="weight", shrink=0.8)
    _draw_top(row[3], prediction)


def _draw_patches(ax, picture, config):
    """The patches with a gap between them."""
    P, (rows, columns) = config.patch_size, config.grid
    gap = max(1, P // 4)
    sheet = np.ones((rows * (P + gap) - gap, columns * (P + gap) - gap, 3))
    for i in range(rows):
        for j in range(columns):
            top, left = i * (P + gap), j * (P + gap)
            sheet[top:top + P, left:left + P] = picture[i * P:(i + 1) * P, j * P:(j + 1) * P]
    ax.imshow(sheet)
    bare(ax)
    ax.set_title(f"{rows} × {columns} = {rows * columns} patches\nof {P} × {P} pixels")


def _draw_top(ax, prediction):
    if not prediction.model.config.num_classes:
        bare(ax)
        ax.set_title("no head:\na representation, no classes")
        return
    labels, probabilities = zip(*prediction.top(5))
    ax.barh(range(len(labels)), [100 * p for p in probabilities], color=COLOURS[0])
    ax.set_yticks(range(len(labels)), labels)
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="probability (%)", title="likeliest classes")
