"""Two pictures of growth with resolution: seconds, and peak memory."""

import matplotlib.pyplot as plt

from minivit.explain.style import COLOURS, styled

from .summary import median, quartiles


@styled
def growth_time_figure(growth):
    """Seconds of one image over its side, both logarithmic: medians, quartiles as bars. growth: run.py's rows."""
    figure, ax = plt.subplots(figsize=(6.5, 4))
    for (name, rows), colour in zip(_lines(growth, "seconds").items(), COLOURS):
        medians = [median(samples) for _, samples in rows]
        around = [[abs(edge - m) for edge in quartiles(samples)] for (_, samples), m in zip(rows, medians)]
        ax.errorbar([side for side, _ in rows], medians, list(zip(*around)), fmt="o-", color=colour, label=name,
                    capsize=3)
    return _finished(figure, ax, growth, "seconds, B/16, one image")


@styled
def growth_memory_figure(growth):
    """Peak memory beyond the loaded weights over the image's side, both logarithmic, in MB of 10⁶ bytes."""
    figure, ax = plt.subplots(figsize=(6.5, 4))
    for (name, rows), colour in zip(_lines(growth, "peak_bytes").items(), COLOURS):
        ax.plot([side for side, _ in rows], [peak / 1e6 for _, peak in rows], "o-", color=colour, label=name)
    return _finished(figure, ax, growth, "peak memory beyond the weights (MB)")


def _lines(growth, key):
    """{library: [(side, what was measured)]}."""
    lines = {}
    for row in growth:
        for name, result in row["results"].items():
            if result.get(key):
                lines.setdefault(name, []).append((row["side"], result[key]))
    return lines


def _finished(figure, ax, growth, ylabel):
    sides = [row["side"] for row in growth]
    ax.set(xscale="log", yscale="log", xlabel="side of the image (pixels)", ylabel=ylabel)
    ax.set_xticks(sides, sides)
    ax.set_xticks([], minor=True)
    ax.grid(alpha=0.3)
    ax.legend()
    return figure
