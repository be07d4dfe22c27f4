"""One token asks: its query against the keys, the weights, and the values that it collects, on real numbers."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, FAINT, WIDTH, bare, draw_picture, signed_limits, styled
from .maps import names_before


@styled
def query_key_value_figure(image, steps, head, query, grid, most=5, before=None):
    """From left to right: the image, q, the keys, scores, weights, weight · value, and their sum (equations 6 and 7).

    image: (H, W, 3). steps: as `attention_steps` returns them. head: its number. query: the number of the token that
    asks. before: as `maps.names_before` has it. The `most` tokens with the largest weights are drawn, largest first,
    and framed in the image; the rest is summed up in the row "others". Returns a figure.
    """
    q, k, v = (steps[name][head] for name in ("query", "key", "value"))                  # (T, d) each
    scores, weights = steps["scores"][head, query], steps["attention"][head, query]      # (T,)
    best = np.argsort(-weights, kind="stable")[:most]
    others = np.delete(np.arange(len(weights)), best)
    outside = names_before(len(weights), grid, before)
    names = [outside[token] if token < len(outside) else f"patch {token - len(outside)}" for token in best]
    parts = np.concatenate([weights[best, None] * v[best], (weights[others, None] * v[others]).sum(axis=0)[None]])

    figure = plt.figure(figsize=(WIDTH, 4.4))
    left, right = figure.subfigures(1, 2, width_ratios=[1, 2.7])
    _draw_image(left.subplots(), image, query, best, len(outside), grid)
    rows = right.subplots(3, 4, height_ratios=[1, most, 1], width_ratios=[1.3, 0.8, 0.8, 1.3])
    for ax in (rows[0, 1], rows[0, 2], rows[0, 3], rows[2, 0], rows[2, 1], rows[2, 2]):
        ax.set_visible(False)
    keys = signed_limits(np.concatenate([q[query, None], k[best]]))
    rows[0, 0].imshow(q[query, None], aspect="auto", **keys)
    rows[0, 0].set_title("query q")
    rows[1, 0].imshow(k[best], aspect="auto", **keys)
    rows[1, 0].set_title("keys k")
    places = np.arange(most)
    for ax, values, title in ((rows[1, 1], scores[best], "q·k / √d"), (rows[1, 2], weights[best], "weight a")):
        ax.barh(places, values, color=COLOURS[0])
        ax.set(ylim=(most - 0.5, -0.5), yticks=[], title=title)
        ax.margins(x=0.35)
        for place, value in zip(places, values):
            ax.text(value, place, f" {value:.2f}", va="center", ha="left" if value >= 0 else "right", fontsize=9)
    rows[1, 3].imshow(parts, aspect="auto", **signed_limits(parts))
    rows[1, 3].set(title="a · value v", yticks=range(most + 1), yticklabels=[*names, f"{len(others)} others"])
    rows[1, 3].yaxis.tick_right()
    rows[2, 3].imshow(parts.sum(axis=0)[None], aspect="auto", **signed_limits(parts))
    rows[2, 3].set_xlabel("Σ a v: what the token collects")
    for ax in (rows[0, 0], rows[2, 3], rows[1, 0]):
        ax.set(xticks=[], yticks=[])
    rows[1, 0].set(yticks=range(most), yticklabels=names)
    rows[1, 3].set_xticks([])
    return figure


def _draw_image(ax, image, query, best, first, grid):
    draw_picture(ax, image)
    height, width = np.shape(image)[0] / grid[0], np.shape(image)[1] / grid[1]
    for place, token in [*enumerate(best, start=1), (0, query)]:
        patch = token - first
        if patch < 0:
            continue
        row, column = divmod(patch, grid[1])
        corner = column * width - 0.5, row * height - 0.5
        ax.add_patch(plt.Rectangle(corner, width, height, fill=False, linewidth=2.5,
                                   edgecolor=COLOURS[1] if place == 0 else FAINT if place > 3 else COLOURS[2]))
        if place:
            ax.text(corner[0] + width / 2, corner[1] + height / 2, str(place), ha="center", va="center", color="white",
                    fontweight="bold")
    ax.set_title("asks: orange; most looked at: 1, 2, …", fontsize=10)
    bare(ax)
    ax.set(xlabel="", ylabel="")
