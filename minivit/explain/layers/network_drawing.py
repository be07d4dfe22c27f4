"""The whole network as one drawing: what goes in, one layer with its two residual sums, what comes out."""

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ...images.preparation import denormalise
from ..patches.sequence import patch_pictures
from ..relatives import check_reads_cls
from ..style import COLOURS, WIDTH, bare, signed_limits, styled

# One layer as a graph: a node adds up what its arrows bring, then does what its name says. z, z' and the sums lie on
# one line, the residual stream; a branch leaves it in a point, and comes back to it in a sum (equations 2 and 3).
STREAM, BRANCH = 0.75, 1.95                                             # heights in inches
NODES = {"z": (0.6, STREAM), "norm1": (1.3, BRANCH), "attention": (2.4, BRANCH), "sum1": (3.3, STREAM),
         "z'": (3.75, STREAM), "norm2": (4.45, BRANCH), "mlp": (5.35, BRANCH), "sum2": (6.15, STREAM)}
EDGES = (("z", "norm1"), ("norm1", "attention"), ("attention", "sum1"), ("z", "sum1"), ("sum1", "z'"),
         ("z'", "norm2"), ("norm2", "mlp"), ("mlp", "sum2"), ("z'", "sum2"))
BOXES = {"norm1": ("Layer\nNorm", 0.75, "#666666"), "attention": ("multi-head\nself-attention", 1.25, COLOURS[1]),
         "norm2": ("Layer\nNorm", 0.75, "#666666"), "mlp": ("MLP", 0.8, COLOURS[0])}
HIGH, RADIUS = 0.62, 0.15                                               # of a box; of a sum
TOP = 4.35                                                              # height of the upper row


@styled
def network_figure(prediction):
    """Upper row: the image, its patches, the three steps of equation 1, the tokens. Lower row: one layer, then the
    head and the answer, with the shapes of one image at the arrows. prediction: of one image. Returns a figure.
    Raises ValueError for a relative.
    """
    config = prediction.model.config
    check_reads_cls(config, "the drawing shows")
    figure, ax = plt.subplots(figsize=(WIDTH, 5.6))
    ax.set(xlim=(0, WIDTH), ylim=(-0.35, 5.4), aspect="equal")
    bare(ax)
    _draw_embedding(ax, prediction, config)
    _draw_layer(ax, config)
    _draw_head(ax, prediction)
    return figure


def _draw_embedding(ax, prediction, config):
    T, D, N, P = config.num_tokens, config.width, config.num_patches, config.patch_size
    picture = denormalise(to_device(prediction.x[0], "cpu"), prediction.model.preprocessing)         # (H, W, 3)
    tokens = to_device(prediction.trace["embedded"], "cpu")[0]                                       # (T, D)
    _picture(ax, picture, 0.1, f"image\n{config.height_width[0]} × {config.height_width[1]} pixels")
    _picture(ax, _sheet(patch_pictures(picture, P), config.grid), 1.75, f"{N} patches of\n{P} × {P} pixels")
    steps = (("linear\nmap E", 4.0, f"{N} × {D}", COLOURS[0]), ("[CLS]\nin front", 5.4, f"{T} × {D}", COLOURS[2]),
             ("add\npositions", 6.8, f"{T} × {D}", COLOURS[2]))
    arrows = [(1.4, 1.7), (3.1, 3.58), (4.42, 4.98), (5.82, 6.38), (7.22, 7.9)]
    for text, x, shape, colour in steps:
        _box(ax, x, TOP, text, 0.8, colour)
        ax.text(x + 0.7, TOP + 0.4, shape, ha="center", fontsize=10, color="#333333")
    for start, end in arrows:
        _path(ax, [(start, TOP), (end, TOP)])
    ax.text(3.4, TOP + 0.4, f"{N} × {P * P * 3}", ha="center", fontsize=10, color="#333333")
    limits = signed_limits(tokens)["vmax"] / 3
    ax.imshow(tokens, extent=(7.95, 9.9, TOP - 0.65, TOP + 0.65), aspect="auto", cmap="PuOr", vmin=-limits, vmax=limits)
    ax.text(8.92, TOP + 0.72, f"{T} tokens of {D} numbers", ha="center", va="bottom", fontsize=11)
    ax.text(5.4, TOP - 0.62, "equation 1", ha="center", fontsize=10.5, color="#333333")
    _path(ax, [(8.92, TOP - 0.7), (8.92, 3.15), (0.25, 3.15), (0.25, STREAM), (NODES["z"][0], STREAM)], head=False)


def _draw_layer(ax, config):
    ax.add_patch(plt.Rectangle((0.42, 0.1), 6.2, 2.7, facecolor="#f4f4f4", edgecolor="#bbbbbb", zorder=0))
    ax.text(3.45, 2.5, f"one layer; there are L = {config.num_layers}, one after another", ha="center", fontsize=11)
    for start, end in EDGES:
        residual = NODES[start][1] == NODES[end][1] == STREAM
        _path(ax, _corners(start, end), COLOURS[2] if residual else "#333333", 3.2 if residual else 1.4, (start, end),
              head=end != "z'")
    for name, (x, y) in NODES.items():
        if name in BOXES:
            text, width, colour = BOXES[name]
            _box(ax, x, y, text, width, colour)
        elif name.startswith("sum"):
            ax.add_patch(plt.Circle((x, y), RADIUS, facecolor="white", edgecolor=COLOURS[2], linewidth=1.8, zorder=3))
            ax.text(x, y - 0.01, "+", ha="center", va="center", fontsize=14, zorder=4)
        else:
            ax.plot(x, y, "o", color=COLOURS[2], markersize=6, zorder=3)
            ax.text(x, y - 0.14, name, ha="center", va="top", fontsize=11, style="italic")
    for x, text in ((1.95, "residual (equation 2)"), (4.95, "residual (equation 3)")):
        ax.text(x, STREAM - 0.12, text, ha="center", va="top", fontsize=10, color=COLOURS[2])


def _draw_head(ax, prediction):
    _path(ax, [(NODES["sum2"][0] + RADIUS, STREAM), (7.02, STREAM)])
    ax.text(6.92, STREAM + 0.42, "[CLS]\nalone", ha="center", fontsize=10, color="#333333")
    _box(ax, 7.42, STREAM, "Layer\nNorm", 0.75, "#666666")
    _path(ax, [(7.82, STREAM), (8.13, STREAM)])
    ax.text(7.42, STREAM - 0.5, "equation 4", ha="center", va="top", fontsize=10, color="#333333")
    _box(ax, 8.6, STREAM, "linear map,\nsoftmax", 0.9, COLOURS[0])
    _path(ax, [(8.6, STREAM + 0.34), (8.6, 1.5)])
    for i, (label, p) in enumerate(prediction.top(4)):
        y = 2.55 - 0.28 * i
        ax.add_patch(plt.Rectangle((8.45, y - 0.09), 0.9 * p, 0.18, facecolor=COLOURS[0]))
        ax.text(8.38, y, label, ha="right", va="center", fontsize=10.5)
        ax.text(8.5 + 0.9 * p, y, f"{p:.0%}", va="center", fontsize=10.5)


def _corners(start, end):
    """The way of an arrow: along the stream, up into a branch, along the branch, or down into a sum."""
    (x0, y0), (x1, y1) = NODES[start], NODES[end]
    leave = RADIUS if start.startswith("sum") else 0.0
    arrive = RADIUS if end.startswith("sum") else BOXES[end][1] / 2 if end in BOXES else 0.0
    if y0 == y1 == STREAM:
        return [(x0 + leave, y0), (x1 - arrive, y1)]
    if y0 == STREAM:
        return [(x0, y0 + leave), (x0, y1), (x1 - arrive, y1)]
    if y1 == STREAM:
        return [(x0 + BOXES[start][1] / 2, y0), (x1, y0), (x1, y1 + RADIUS)]
    return [(x0 + BOXES[start][1] / 2, y0), (x1 - arrive, y1)]


def _path(ax, corners, colour="#333333", width=1.4, edge=None, head=True):
    """A line through the corners, with the head of an arrow at its end. edge: what the line stands for, its gid."""
    xs, ys = zip(*corners)
    ax.plot(xs, ys, color=colour, linewidth=width, zorder=1, solid_capstyle="butt", gid=edge and "→".join(edge))
    if head:
        ax.annotate("", corners[-1], corners[-2],
                    arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0})


def _box(ax, x, y, text, width, colour):
    ax.add_patch(plt.Rectangle((x - width / 2, y - HIGH / 2), width, HIGH, facecolor="white", edgecolor=colour,
                               linewidth=1.6, zorder=2))
    ax.text(x, y, text, ha="center", va="center", fontsize=10.5, zorder=3)


def _picture(ax, picture, left, title):
    ax.imshow(picture, extent=(left, left + 1.3, TOP - 0.65, TOP + 0.65))
    ax.text(left + 0.65, TOP + 0.72, title, ha="center", va="bottom", fontsize=11)


def _sheet(patches, grid):
    """The patches (N, P, P, 3) apart from each other, as one picture."""
    apart = np.pad(patches, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=1.0)
    rows, columns, (side, _, _) = *grid, apart.shape[1:]
    return apart.reshape(rows, columns, side, side, 3).swapaxes(1, 2).reshape(rows * side, columns * side, 3)[:-1, :-1]
