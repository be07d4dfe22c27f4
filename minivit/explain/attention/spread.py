"""Sharp or even, the same for every query, the same for every image: three numbers a head.

    effective tokens  = exp(-Σⱼ aᵢⱼ log aᵢⱼ): 1 where a query looks at one token, T where it looks at all alike
    share of query    = ½ Σⱼ |aᵢⱼ - mean of aᵢⱼ over the queries|: the part of the weight that depends on who asks
    share of content  = ½ Σⱼ |aᵢⱼ - mean of aᵢⱼ over the images|: the part of the weight that depends on the image

A head with a share of content of zero is a fixed filter: position alone decides where it looks, as in a convolution.
With a share of query of zero, all tokens collect the same mean: pooling.
"""

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ..style import WIDTH, styled
from .distance import draw_heads


def effective_tokens(attention):
    """(L, H): the exponential of the rows' entropy, mean over queries and images. attention: (B, H, T, T) a layer."""
    rows = []
    for maps in attention:
        a = to_device(maps, "cpu").astype(np.float64)                   # (B, H, T, T)
        entropy = -(a * np.log(np.maximum(a, np.finfo(np.float64).tiny))).sum(axis=-1)      # 0 log 0 is 0
        rows.append(np.exp(entropy).mean(axis=(0, 2)))
    return np.stack(rows)


def query_share(attention):
    """(L, H): how far a query's row is from the mean row of its map, in total variation, 0 to 1."""
    rows = []
    for maps in attention:
        a = to_device(maps, "cpu").astype(np.float64)                   # (B, H, T, T)
        rows.append(0.5 * np.abs(a - a.mean(axis=-2, keepdims=True)).sum(axis=-1).mean(axis=(0, 2)))
    return np.stack(rows)


def content_share(attention):
    """(L, H): how far an image's attention is from the mean over the images, in total variation, 0 to 1.

    attention: one array (B, H, T, T) a layer, B images or more than one. Raises ValueError for a single image.
    """
    if len(attention[0]) < 2:
        raise ValueError("one image has nothing to differ from: give the attention of a batch")
    rows = []
    for maps in attention:
        a = to_device(maps, "cpu").astype(np.float64)                   # (B, H, T, T)
        rows.append(0.5 * np.abs(a - a.mean(axis=0)).sum(axis=-1).mean(axis=(0, 2)))
    return np.stack(rows)


@styled
def attention_spread_figure(tokens, query, content, num_tokens):
    """The three measures over the layers, one dot a head. tokens, query, content: (L, H). Returns a figure."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(WIDTH, 3.5))
    draw_heads(left, tokens, f"effective tokens (of {num_tokens})")
    left.set(ylim=(0, num_tokens * 1.03), title="how many are looked at")
    for ax, share, what in ((middle, query, "query"), (right, content, "image")):
        draw_heads(ax, share, "share of the weight (0 to 1)")
        ax.set(ylim=(0, 1.1 * max(query.max(), content.max())), title=f"what depends on the {what}")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=7)
    return figure
