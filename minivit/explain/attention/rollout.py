"""Attention rollout: where a token's content comes from, through all layers at once (ViT paper figure 6, App. D.8).

    Āₗ = rows of (mean over heads of Aₗ + I), rescaled to sum to one
    R = Ā_L … Ā₂ Ā₁

The identity stands for the residual connection, as if half of every token were handed on unchanged (Abnar & Zuidema
2020, arXiv 2005.00928, section 3). Values, projections and MLPs do not enter: rollout is a summary of the maps alone.
"""

import matplotlib.pyplot as plt
import numpy as np

from ..style import WIDTH, bare, draw_picture, styled
from .maps import attention_map


def rollout(attention):
    """Multiply the layers' maps up. attention: one array (..., H, T, T) a layer, the first layer first.

    Returns R (..., T, T): row i is a distribution over the input tokens. `attention[:k]` gives the first k layers'.
    Raises ValueError without layers.
    """
    if len(attention) == 0:
        raise ValueError("rollout multiplies the layers' attention: give at least one array (..., H, T, T)")
    flow = None
    for maps in attention:
        mixed = maps.mean(axis=-3)                                      # (..., T, T)
        mixed = mixed + np.identity(mixed.shape[-1], mixed.dtype, like=mixed)
        mixed /= mixed.sum(axis=-1, keepdims=True)
        flow = mixed if flow is None else mixed @ flow
    return flow


@styled
def rollout_figure(images, attention, grid, titles, query=0, before=None):
    """A column an image: the image, one token's attention in the last layer, its rollout, and the image lit by that.

    images: (B, H, W, 3), floats in [0, 1]. attention: one array (B, H, T, T) a layer. query: the token's number, 0 for
    [CLS]. before: as `maps.names_before` has it. The maps of a row share a scale; in the last row each image is lit by
    its own rollout. Returns a figure.
    """
    last = attention_map(attention[-1].mean(axis=-3), query, grid, before)      # (B, rows, columns)
    rolled = attention_map(rollout(attention), query, grid, before)             # (B, rows, columns)
    figure, axes = plt.subplots(4, len(images), figsize=(WIDTH, 4.9), squeeze=False)
    for ax, image, title in zip(axes[0], images, titles):
        ax.imshow(image)
        ax.set_title(title, fontsize=9.5)
    for row, maps, name in ((axes[1], last, "last layer"), (axes[2], rolled, "rollout")):
        for ax, one in zip(row, maps):
            mesh = ax.imshow(one, vmin=maps.min(), vmax=maps.max())
        figure.colorbar(mesh, ax=row.tolist(), label="weight", fraction=0.02, pad=0.01)
        row[0].set_ylabel(name)
    for ax, image, one in zip(axes[3], images, rolled):
        light = (one - one.min()) / (one.max() - one.min() or 1)
        scale = (image.shape[0] // grid[0], image.shape[1] // grid[1])
        ax.imshow(image * (0.12 + 0.88 * np.kron(light, np.ones(scale)))[..., None])
    axes[0][0].set_ylabel("image")
    axes[3][0].set_ylabel("lit by rollout")
    for ax in axes.flat:
        bare(ax)
    return figure


@styled
def rollout_filmstrip(image, attention, grid, query=0, before=None):
    """Rollout from one token growing by a layer a frame. attention: one array (H, T, T) a layer. Returns a figure.

    Frames share a scale; what has stayed with the token itself lies outside the picture where that is [CLS].
    """
    frames = [rollout(attention[:k + 1]) for k in range(len(attention))]
    maps = [attention_map(frame, query, grid, before) for frame in frames]
    figure, axes = plt.subplots(1, len(maps) + 1, figsize=(WIDTH, 2.1))
    draw_picture(axes[0], image, "image")
    for k, (frame, one, ax) in enumerate(zip(frames, maps, axes[1:])):
        mesh = ax.imshow(one, vmin=0, vmax=max(m.max() for m in maps))
        ax.set_title(f"layers 0–{k}" if k else "layer 0", fontsize=10.5)
        ax.set_xlabel(f"itself: {frame[query, query]:.2f}", fontsize=10)
    figure.colorbar(mesh, ax=axes[1:].tolist(), label="weight", fraction=0.02, pad=0.01)
    for ax in axes:
        label = ax.get_xlabel() if ax is not axes[0] else ""
        bare(ax)
        ax.set(xlabel=label, ylabel="")
    return figure
