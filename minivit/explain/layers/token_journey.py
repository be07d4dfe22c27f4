"""One token through the layers, as a filmstrip: what it says, and which patches it has become like."""

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ...images.preparation import denormalise
from ..style import COLOURS, WIDTH, bare, draw_picture, signed_limits, styled


def similarities(tokens, token):
    """Cosine similarity of one token with every token. tokens: (T, D). Returns (T,)."""
    lengths = np.linalg.norm(tokens, axis=-1)                           # (T,)
    return tokens @ tokens[token] / (lengths * lengths[token])


def residual_stream(trace, num_layers):
    """The tokens of image 0 as they enter layer 0 and leave each layer: (L + 1, T, D), less the mean of all T.

    What all tokens share would make every two of them look alike; what is left is what tells them apart.
    """
    names = ["embedded", *(f"layer.{i}.output" for i in range(num_layers))]
    stream = np.stack([to_device(trace[name], "cpu")[0] for name in names])                # (L + 1, T, D)
    return stream - stream.mean(axis=1, keepdims=True)


@styled
def token_journey_figure(prediction, token=0):
    """A frame a layer: above the token's D channels, scaled to its largest, as a sheet; below its cosine similarity
    with every patch on the grid. token: 0 for [CLS], else a patch's number. Returns a matplotlib figure.
    """
    config = prediction.model.config
    L, first = config.num_layers, int(config.class_token)
    stream = residual_stream(prediction.trace, L)                       # (L + 1, T, D)
    columns = next(c for c in range(int(np.sqrt(config.width)), 0, -1) if config.width % c == 0)
    figure, axes = plt.subplots(2, L + 2, figsize=(WIDTH, 3.5), width_ratios=[1.35] + [1] * (L + 1))
    picture = denormalise(to_device(prediction.x[0], "cpu"), prediction.model.preprocessing)
    draw_picture(axes[0, 0], picture, "[CLS]" if token < first else f"token {token}")
    if token >= first:
        P, (i, j) = config.patch_size, divmod(token - first, config.grid[1])
        axes[0, 0].add_patch(plt.Rectangle((j * P - 0.5, i * P - 0.5), P, P, fill=False, edgecolor=COLOURS[1],
                                           linewidth=2.5))
    bare(axes[0, 0])
    axes[0, 0].set(xlabel="", ylabel="")
    axes[1, 0].axis("off")
    axes[1, 0].text(0.5, 0.5, "above: channels\nof the token\n\nbelow: cosine\nwith each patch", ha="center",
                    va="center", fontsize=10, transform=axes[1, 0].transAxes)
    for layer, tokens in enumerate(stream):
        sheet, ax = tokens[token].reshape(-1, columns), axes[0, layer + 1]
        shown = ax.imshow(sheet / np.abs(sheet).max(), **signed_limits(np.ones(1)))
        ax.set_title("input" if layer == 0 else f"layer {layer - 1}")
        bare(ax)
        cosine = similarities(tokens, token)[first:].reshape(config.grid)
        below = axes[1, layer + 1]
        mesh = below.imshow(cosine, **signed_limits(np.ones(1)))
        bare(below)
    figure.colorbar(shown, ax=axes[0, -1], label="of the largest", shrink=0.8)
    figure.colorbar(mesh, ax=axes[1, -1], label="cosine", shrink=0.8)
    return figure
