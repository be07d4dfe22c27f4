"""The chain rule on a graph of numbers: values run forward, gradients backward, and meet at every node."""

import matplotlib.pyplot as plt

from ..style import COLOURS, FAINT, WIDTH, bare, styled


@styled
def chain_rule_figure(nodes, edges):
    """Draw a graph of scalars. nodes: {name: (x, y, value, gradient)}. edges: [(from, to, local derivative)].

    Above a node stands its value, below it the gradient of the last node for it; an edge bears its local derivative.
    Returns a matplotlib figure.
    """
    xs, ys = [node[0] for node in nodes.values()], [node[1] for node in nodes.values()]
    figure, ax = plt.subplots(figsize=(WIDTH, 1.5 + 1.35 * (max(ys) - min(ys))))
    for start, end, local in edges:
        (x0, y0), (x1, y1) = nodes[start][:2], nodes[end][:2]
        ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": FAINT, "shrinkA": 24,
                                                        "shrinkB": 24})
        ax.text((x0 + x1) / 2, (y0 + y1) / 2 + 0.09, local, ha="center", va="bottom", fontsize=9.5, color="#555555")
    for name, (x, y, value, gradient) in nodes.items():
        ax.text(x, y, name, ha="center", va="center", fontsize=11.5,
                bbox={"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": "#333333"})
        ax.text(x, y + 0.27, f"{value:.3f}", ha="center", va="bottom", fontsize=10.5, color=COLOURS[0])
        if gradient is not None:
            ax.text(x, y - 0.27, f"{gradient:.3f}", ha="center", va="top", fontsize=10.5, color=COLOURS[1])
    ax.text(min(xs) - 0.45, max(ys) + 0.75, "blue: value", color=COLOURS[0], va="center")
    ax.text(min(xs) + 0.55, max(ys) + 0.75, "orange: d loss / d value", color=COLOURS[1], va="center")
    ax.text(min(xs) + 2.35, max(ys) + 0.75, "grey: local derivative", color="#555555", va="center")
    ax.set(xlim=(min(xs) - 0.5, max(xs) + 0.5), ylim=(min(ys) - 0.65, max(ys) + 0.95))
    bare(ax)
    return figure
