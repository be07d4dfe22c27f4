"""One photo cut in several ways: what the model reads each time, and what it then says."""

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ...images.preparation import denormalise
from ...prediction import forward
from ..style import COLOURS, WIDTH, bare, draw_picture, styled


@styled
def crop_figure(photo, crops, model, count=4):
    """The photo with every crop framed; each crop as the model reads it; the probabilities of the likeliest classes.

    photo: a PIL image. crops: {title: (left, top, right, bottom)} in its pixels. count: how many classes of each crop.
    Returns a figure.
    """
    predictions = forward([photo.crop(box) for box in crops.values()], model)
    names = list(dict.fromkeys(label for top in predictions.top(count) for label, _ in top))
    figure, axes = plt.subplots(1, 2 + len(crops), figsize=(WIDTH, 3.1), width_ratios=[1.75, *[1] * len(crops), 1.25])
    draw_picture(axes[0], np.asarray(photo), "the photo")
    places = np.arange(len(names))
    for i, (title, (left, top, right, bottom)) in enumerate(crops.items()):
        colour, prediction, width = COLOURS[i], predictions[i], 0.8 / len(crops)
        axes[0].add_patch(plt.Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False,
                                        edgecolor=colour, linewidth=3))
        axes[1 + i].imshow(denormalise(to_device(prediction.x[0], "cpu"), model.preprocessing))
        axes[1 + i].set_title(f"{title},\nas the model reads it", color=colour)
        bare(axes[1 + i])
        p = dict(prediction.top(model.config.num_classes))
        axes[-1].barh(places + (i - (len(crops) - 1) / 2) * width, [100 * p[name] for name in names], width,
                      color=colour, label=title)
    axes[-1].set_yticks(places, names)
    axes[-1].invert_yaxis()
    axes[-1].set(xlabel="probability (%)", xlim=(0, 100))
    axes[-1].legend(loc="lower right")
    return figure
