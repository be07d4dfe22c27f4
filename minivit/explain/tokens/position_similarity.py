"""How alike the position embeddings are (ViT paper, figure 7 centre): cosine similarity, one tile a patch."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, MAGNITUDE, WIDTH, bare, signed_limits, styled
from .read_out import cosine_similarity


def similarity_tiles(table, grid):
    """Cosine of each patch's position embedding with all others': (rows, columns, rows, columns).

    table: (T, D) or (1, T, D), with or without a row for [CLS], which is left out. grid: (rows, columns).
    """
    rows, columns = grid
    patches = np.asarray(table, np.float64).reshape(-1, np.shape(table)[-1])[-rows * columns:]        # (N, D)
    return cosine_similarity(patches).reshape(rows, columns, rows, columns)


def similarity_by_offset(tiles):
    """Mean cosine of two patches `down` rows and `across` columns apart: (rows, columns), 1 at [0, 0]."""
    rows, columns = tiles.shape[:2]
    i, j, k, l = np.indices(tiles.shape)
    return np.array([[tiles[(abs(i - k) == down) & (abs(j - l) == across)].mean() for across in range(columns)]
                     for down in range(rows)])


def similarity_by_distance_in_the_sequence(tiles):
    """Mean cosine of two patches n places apart in raster order: (N,), 1 at 0. A line knows nothing of rows."""
    N = tiles.shape[0] * tiles.shape[1]
    cosines = tiles.reshape(N, N)
    return np.array([np.diagonal(cosines, n).mean() for n in range(N)])


@styled
def similarity_figure(grid, **tables):
    """Tiles for each table given, similarity_figure((8, 8), random=E0, trained=E), each table on its own scale, from
    its lowest cosine to 1. Up to three beside each other, more in lines of two. Returns a figure.
    """
    lines, across = (1, len(tables)) if len(tables) <= 3 else (-(-len(tables) // 2), 2)
    figure, axes = plt.subplots(lines, across, figsize=(WIDTH, 4.2 * lines), squeeze=False)
    rows, columns = grid
    for ax, (name, table) in zip(axes.ravel(), tables.items()):
        tiles = similarity_tiles(table, grid)
        for i in range(rows):
            for j in range(columns):
                mesh = ax.imshow(tiles[i, j], extent=(j + 0.05, j + 0.95, i + 0.95, i + 0.05),
                                 vmin=tiles.min(), vmax=1, cmap=MAGNITUDE)
        ax.set(xlim=(0, columns), ylim=(rows, 0), title=name.replace("_", " "), xlabel="patch column")
        ax.set_xticks(np.arange(columns) + 0.5, range(columns))
        ax.set_yticks(np.arange(rows) + 0.5, range(rows))
        figure.colorbar(mesh, ax=ax, label="cosine similarity",
                        orientation="horizontal" if lines == 1 else "vertical", pad=0.05 if lines == 1 else 0.02)
    for ax in axes.ravel()[len(tables):]:
        ax.axis("off")
    for ax in axes[:, 0]:
        ax.set_ylabel("patch row")
    return figure


@styled
def sequence_distance_figure(columns, **curves):
    """Similarity against distance in the sequence; dotted lines where two patches are in the same column."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.6))
    for (name, curve), colour in zip(curves.items(), COLOURS):
        ax.plot(range(1, len(curve)), curve[1:], color=colour, marker=".", label=name.replace("_", " "))
    for n in range(columns, len(curve), columns):
        ax.axvline(n, color="black", linestyle=":", linewidth=0.8)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set(xlabel=f"places apart in the sequence (dotted: a multiple of {columns}, right below each other)",
           ylabel="mean cosine similarity")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def position_table_figure(grid, **tables):
    """Twelve features of position tables, three from each quarter, each feature a picture of the grid.

    tables: (T, D) or (1, T, D) each. Returns a figure; a table has one scale for its twelve, and white is zero.
    """
    figure, axes = plt.subplots(len(tables), 13, figsize=(WIDTH, 1.4 * len(tables)), squeeze=False,
                                width_ratios=[1] * 12 + [0.22])
    for row, (name, table) in zip(axes, tables.items()):
        patches = np.asarray(table).reshape(-1, np.shape(table)[-1])[-grid[0] * grid[1]:]             # (N, D)
        quarter = patches.shape[1] // 4
        features = [q * quarter + k for q in range(4) for k in (0, quarter // 10, quarter // 4)]
        for ax, feature in zip(row, features):
            mesh = ax.imshow(patches[:, feature].reshape(grid), **signed_limits(patches[:, features]))
            bare(ax)
            ax.set_title(f"{feature}")
        row[0].set_ylabel(name.replace("_", " "))
        figure.colorbar(mesh, cax=row[-1], label="value")
    return figure
