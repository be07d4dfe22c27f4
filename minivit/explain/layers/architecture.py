"""The network as a diagram: every step with its shape, forward; and each section's forward beside its backward."""

import matplotlib.pyplot as plt

from ..relatives import check_reads_cls
from ..style import COLOURS, FAINT, WIDTH, bare, styled
from .shapes import LETTERS, expected_shape

MODEL = (("pixels", "the prepared image"), ("patches", "cut and flatten"), ("patch_embedding", "linear map E"),
         ("tokens", "put [CLS] first"), ("embedded", "add positions"), ("layer.0.output", "L encoder layers"),
         ("norm", "final LayerNorm"), ("representation", "read [CLS]"), ("logits", "linear map"),
         ("probabilities", "softmax"))
LAYER = (("norm1", "LayerNorm"), ("query", "linear map, split into heads"), ("scores", "q kᵀ / √d"),
         ("attention", "softmax of each row"), ("attended", "A v, merge heads, linear map"),
         ("residual1", "input + attended"), ("norm2", "LayerNorm"), ("hidden", "linear map, GELU"),
         ("mlp", "linear map"), ("output", "residual1 + mlp"))
# The heights where each residual leaves the way through the boxes, and where it enters a sum.
RESIDUALS = ((0.48, -5, "equation 2"), (-5.5, -9, "equation 3"))
COLUMNS = (0.02, 0.36, 0.69)                                            # of a box: letters, then each config


@styled
def architecture_figure(**configs):
    """The forward pass as two columns of boxes, the model and the inside of one layer, each box with its shape in
    letters and in the numbers of each config: architecture_figure(packaged=model.config). Returns a figure. Raises
    ValueError for a relative.
    """
    for config in configs.values():
        check_reads_cls(config, "the drawing shows")
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 7.4))
    for ax, steps, title in zip(axes, (MODEL, LAYER), ("the model", "inside one of the L layers")):
        inside = steps is LAYER
        for i, (name, what) in enumerate(steps):
            label = {"query": "query, key, value", "layer.0.output": "layers"}.get(name, name)
            _draw_step(ax, -i, f"layer.0.{name}" if inside else name, label, what, configs, COLOURS[int(inside)])
            if i:
                _arrow(ax, (0.5, -i + 0.68), (0.5, -i + 0.34))
        ax.set(xlim=(-0.14, 1.02), ylim=(-len(steps) + 0.35, 1.3))
        ax.text(0.5, 1.1, title, ha="center", va="center", fontsize=12)
        for x, heading in zip(COLUMNS, ["one image's shape", *configs]):
            ax.text(x, 0.75, heading, va="center", fontsize=10, color="#333333")
        bare(ax)
    _arrow(axes[1], (0.5, 0.62), (0.5, 0.34))
    for start, end, name in RESIDUALS:
        _bypass(axes[1], start, end, f"residual, {name}")
    return figure


@styled
def forward_backward_figure(config):
    """A section a row: forward runs down on the left, backward up on the right, and what forward keeps goes across.
    Returns a matplotlib figure. Raises ValueError for a relative.
    """
    check_reads_cls(config, "the drawing shows")
    L = config.num_layers
    rows = (("patch_embedding", "(B, N, D)", "patches, E", "dx  (B, H, W, C)", "dE, db"),
            ("cls_token", "(B, T, D)", "–", "dtokens[:, 1:]  (B, N, D)", "dcls"),
            ("position_embedding", "(B, T, D)", "–", "dtokens  (B, T, D)", "dpos"),
            ("layer 0", "(B, T, D)", "x̂ and 1/σ twice; q, k, v;\nmerged; GELU's slope; hidden", "dtokens  (B, T, D)",
             "all of blocks[0]"),
            (f"layer {L - 1}", "(B, t, D)", "the same, L times", "dtokens  (B, T, D)", f"all of blocks[{L - 1}]"),
            ("head", "(B, K)", "x̂ and 1/σ of [CLS], representation", "dtokens  (B, t, D)", "dnorm, dhead"),
            ("loss", "()", "log p, targets", "dlogits  (B, K)", ""))
    figure, ax = plt.subplots(figsize=(WIDTH, 6.6))
    for i, (name, shape, kept, gradient, grads) in enumerate(rows):
        y = -1.25 * i
        _box(ax, (0.0, y - 0.32), 0.27, 0.64, COLOURS[0])
        ax.text(0.135, y, _call(name, "forward"), ha="center", va="center", fontsize=10.5)
        _box(ax, (0.62, y - 0.32), 0.27, 0.64, COLOURS[1])
        ax.text(0.755, y, _call(name, "backward"), ha="center", va="center", fontsize=10.5)
        ax.annotate("", (0.615, y), (0.275, y), arrowprops={"arrowstyle": "->", "linestyle": "--", "color": FAINT})
        ax.text(0.445, y + 0.06, kept, ha="center", va="bottom", fontsize=9.5, color="#555555")
        ax.text(0.90, y, grads, va="center", fontsize=10, color=COLOURS[2])
        below = "   ⋮" if name == "layer 0" and L > 2 else ""
        _arrow(ax, (0.135, y - 0.34), (0.135, y - (0.91 if i + 1 < len(rows) else 0.75)))
        ax.text(0.145, y - 0.63, shape + below, va="center", fontsize=10, color=COLOURS[0])
        _arrow(ax, (0.755, y + 0.34), (0.755, y + 0.91 if i else y + 0.75))
        ax.text(0.765, y + 0.62, gradient, va="center", fontsize=10, color=COLOURS[1])
    ax.text(0.135, 0.62, "x  (B, H, W, C)", ha="center", va="center", fontsize=10, color=COLOURS[0])
    _arrow(ax, (0.135, 0.52), (0.135, 0.34))
    ax.text(0.445, 0.62, "kept in the cache", ha="center", va="center", fontsize=10.5, color="#555555")
    ax.text(0.90, 0.62, "grads", va="center", fontsize=10.5, color=COLOURS[2])
    ax.set(xlim=(-0.02, 1.06), ylim=(-1.25 * (len(rows) - 1) - 0.85, 1.0))
    bare(ax)
    return figure


def _draw_step(ax, y, step, label, what, configs, colour):
    shapes = [LETTERS[step.split(".")[-1]].replace(" ", " × ").removeprefix("B × ")]
    shapes += [" × ".join(map(str, expected_shape(step, config)[1:])) for config in configs.values()]
    _box(ax, (0.0, y - 0.32), 1.0, 0.64, colour)
    ax.text(0.02, y + 0.13, label, va="center", fontsize=11, fontweight="bold")
    ax.text(0.98, y + 0.13, what, va="center", ha="right", fontsize=10)
    for x, shape in zip(COLUMNS, shapes):
        ax.text(x, y - 0.15, shape, va="center", fontsize=10, color="#333333")


def _call(name, direction):
    section, *number = name.split(" ")
    return f"{section}.{direction}" + "".join(f", layer {n}" for n in number)


def _box(ax, corner, width, height, colour):
    ax.add_patch(plt.Rectangle(corner, width, height, facecolor=(*_rgb(colour), 0.12), edgecolor=colour))


def _rgb(colour):
    return tuple(int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5))


def _arrow(ax, start, end):
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "#333333"})


def _bypass(ax, start, end, name):
    """The residual: from a point on the way between two boxes, past the boxes, into a sum."""
    ax.plot(0.5, start, "o", color=COLOURS[2], markersize=6)
    ax.plot([0.5, -0.07, -0.07], [start, start, end], color=COLOURS[2], linewidth=2.2, gid=name)
    ax.annotate("", (0.0, end), (-0.075, end), arrowprops={"arrowstyle": "->", "color": COLOURS[2], "linewidth": 2.2})
    ax.text(-0.1, (start + end) / 2, name, rotation=90, ha="center", va="center", fontsize=10.5, color=COLOURS[2])
