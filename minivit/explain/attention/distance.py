"""Mean attention distance: how far each head looks, in pixels (ViT paper section 4.5, figure 7 right, App. D.7).

    distance of a head = Σⱼ aᵢⱼ |rᵢ - rⱼ|,  averaged over the queries i and over the images

with rᵢ the centre of patch i. It is the counterpart of a CNN's receptive field, but learned, and one number a head.

[CLS] has no place in the image, and the paper does not say what became of it. Here its row and its column are left
out, and what each patch gives to the patches is rescaled to sum to one: the distance of the looking that has one.
"""

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ..style import COLOURS, FAINT, WIDTH, styled
from .maps import names_before


def patch_distances(grid, patch_size):
    """|rᵢ - rⱼ| in pixels between the centres of all patches: (N, N), float64. grid: (rows, columns)."""
    rows, columns = grid
    places = patch_size * np.stack(np.divmod(np.arange(rows * columns), columns), axis=-1)   # (N, 2)
    return np.linalg.norm(places[:, None] - places[None], axis=-1)


def among_patches(attention, grid, before=None):
    """Attention (..., T, T) without [CLS], rows rescaled to sum to one: (..., N, N), float64, on the CPU.

    before: as `maps.names_before` has it. Raises ValueError for a grid that T does not fit.
    """
    first = len(names_before(attention.shape[-1], grid, before))
    weights = to_device(attention, "cpu")[..., first:, first:].astype(np.float64)
    return weights / weights.sum(axis=-1, keepdims=True)


def mean_attention_distance(attention, grid, patch_size, before=None):
    """Pixels for every layer and head: (L, H). attention: one array (B, H, T, T) or (H, T, T) a layer.

    before: as `maps.names_before` has it.
    """
    distances = patch_distances(grid, patch_size)                       # (N, N)
    rows = []
    for maps in attention:
        per_query = np.einsum("...ij,ij->...i", among_patches(maps, grid, before), distances)        # (..., H, N)
        rows.append(np.moveaxis(per_query, -2, 0).reshape(per_query.shape[-2], -1).mean(axis=1))
    return np.stack(rows)


def uniform_distance(grid, patch_size):
    """Pixels for attention that is the same everywhere: the mean distance between two patches drawn at random.

    For a fine grid it tends to 0.5214 of a square's side, the mean distance of two random points in it.
    """
    return float(patch_distances(grid, patch_size).mean())


@styled
def attention_distance_figure(distances, grid, patch_size, title=None):
    """One dot a head over the layers, as in figure 7 right. distances: (L, H) pixels. Returns a figure."""
    figure, ax = plt.subplots(figsize=(WIDTH * 0.75, 3.8))
    uniform = uniform_distance(grid, patch_size)
    ax.axhline(uniform, color=FAINT, linestyle="--", label="uniform attention")
    draw_heads(ax, distances, "mean attention distance (pixels)")
    ax.set(ylim=(0, 1.12 * max(uniform, distances.max())), title=title)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right center")
    return figure


def draw_heads(ax, values, label):
    """One dot a head, and a line through the layers' means. values: (L, H)."""
    L, H = values.shape
    layers = np.arange(L)
    for h in range(H):
        ax.plot(layers + 0.06 * (h - (H - 1) / 2), values[:, h], "o", color=COLOURS[h % len(COLOURS)],
                label=f"head {h}" if H <= len(COLOURS) else None)
    ax.plot(layers, values.mean(axis=1), color="black", linewidth=1, label="mean")
    ax.set(xlabel="network depth (layer)", ylabel=label, xticks=layers, xlim=(-0.6, L - 0.4))
