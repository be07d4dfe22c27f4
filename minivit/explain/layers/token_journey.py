"""One token through the layers, as a filmstrip: which patches it has become like."""

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ...images.preparation import denormalise
from ..relatives import tokens_before
from ..style import COLOURS, WIDTH, bare, draw_picture, signed_limits, styled

SHOWN = 98                                                              # per cent of a row's cosines, within its scale


def similarities(tokens, token):
    """Cosine similarity of one token with every token. tokens: (T, D). Returns (T,)."""
    lengths = np.linalg.norm(tokens, axis=-1)                           # (T,)
    return tokens @ tokens[token] / (lengths * lengths[token])


def residual_stream(trace, num_layers):
    """The tokens of image 0 as they enter layer 0 and leave each layer: (L + 1, T, D), less the mean of all T.

    What all tokens share would make every two of them look alike; what is left is what tells them apart.
    """
    names = ["norm_pre" if "norm_pre" in trace else "embedded", *(f"layer.{i}.output" for i in range(num_layers))]
    stream = np.stack([to_device(trace[name], "cpu")[0] for name in names])                # (L + 1, T, D)
    return stream - stream.mean(axis=1, keepdims=True)


@styled
def token_journey_figure(prediction, tokens):
    """A row per token, a frame per layer: over the photo, in grey, the token's cosine similarity with every patch.

    The stronger the colour, the less of the photo shines through. Each row has its own scale, beyond which lie 2 % of
    its cosines with other patches. tokens: their numbers, 0 for [CLS] where there is one; a patch is framed. Returns a
    matplotlib figure.
    """
    config = prediction.model.config
    L, first, names = config.num_layers, config.num_prefix, tokens_before(config)
    stream = residual_stream(prediction.trace, L)                       # (L + 1, T, D)
    picture = denormalise(to_device(prediction.x[0], "cpu"), prediction.model.preprocessing)         # (H, W, 3)
    height = 0.5 + WIDTH / (L + 2)                                      # of a row: a square frame and its title
    figure, axes = plt.subplots(len(tokens), L + 2, figsize=(WIDTH, height * len(tokens)), squeeze=False)
    for token, row in zip(tokens, axes):
        draw_picture(row[0], picture, names[token] if token < first else f"token {token}")
        cosines = np.stack([similarities(frame, token) for frame in stream])                # (L + 1, T)
        others = np.delete(cosines, [*range(first), token], axis=1)
        largest = float(np.percentile(np.abs(others), SHOWN)) or 1.0
        for layer, (ax, frame) in enumerate(zip(row[1:], cosines)):
            ax.imshow(picture.mean(axis=-1), cmap="gray", vmin=0, vmax=1)
            P = config.patch_size
            shown = np.kron(frame[first:].reshape(config.grid), np.ones((P, P)))            # (H, W)
            mesh = ax.imshow(shown, alpha=np.minimum(np.abs(shown) / largest, 0.8), **signed_limits(largest))
            if ax.get_subplotspec().is_first_row():
                ax.set_title("input" if layer == 0 else f"layer {layer - 1}")
        for ax in row:
            bare(ax)
            ax.set(xlabel="", ylabel="")
            if token >= first:
                P, (i, j) = config.patch_size, divmod(token - first, config.grid[1])
                ax.add_patch(plt.Rectangle((j * P - 0.5, i * P - 0.5), P, P, fill=False, edgecolor=COLOURS[2],
                                           linewidth=2))
        figure.colorbar(mesh, ax=row[-1], label="cosine", shrink=0.8, extend="both")
    return figure
