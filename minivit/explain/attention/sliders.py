"""Attention under one's own hand: sliders for the layer and for the patch that asks, in a running notebook."""

import matplotlib.pyplot as plt

from ...engine.devices import to_device
from ...images.preparation import denormalise
from ..relatives import tokens_before
from .maps import attention_maps_figure


def explore_attention(prediction):
    """Sliders that draw a prediction's attention maps, one a head, from [CLS] and from any patch of any layer.

    prediction: of one image. Needs ipywidgets, pip install "minivit[notebooks]". Returns the drawing function.
    """
    from ipywidgets import interact
    config, maps = prediction.model.config, [to_device(layer, "cpu") for layer in prediction.attention]
    picture = denormalise(to_device(prediction.x[0], "cpu"), prediction.model.preprocessing)         # (H, W, 3)
    rows, columns = config.grid

    def draw(layer=config.num_layers - 1, row=rows // 2, column=columns // 2):
        patch = config.num_prefix + row * columns + column
        asking = [0, patch] if config.class_token else [patch]
        attention_maps_figure(picture, maps[layer], config.grid, asking, before=tokens_before(config))
        plt.show()

    return interact(draw, layer=(0, config.num_layers - 1), row=(0, rows - 1), column=(0, columns - 1))
