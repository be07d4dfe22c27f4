"""Where two models part: the relative difference of every step of the trace, one line a comparison."""

import matplotlib.pyplot as plt
import numpy as np

from ...checking.comparison import TOLERANCE
from ..style import COLOURS, FAINT, WIDTH, styled

FLOOR = 1e-18                                                           # where equality to the bit is drawn


@styled
def difference_figure(comparisons, rounding=None):
    """‖ours − theirs‖ / ‖theirs‖ over the steps in the network's order, logarithmic.

    comparisons: {label: Comparison} of the same steps in float64. rounding: a Comparison with a float32 run, in grey.
    The dashed line is the tolerance of a float64 comparison. Returns a figure.
    """
    names = [row.name for row in next(iter(comparisons.values())).rows]
    figure, ax = plt.subplots(figsize=(WIDTH, 4))
    if rounding is not None:
        ax.fill_between(range(len(names)), FLOOR, _relative(rounding), color=FAINT, alpha=0.3, linewidth=0, step="mid",
                        label="rounding of float32")
    for (label, comparison), colour in zip(comparisons.items(), COLOURS):
        y = _relative(comparison)
        ax.step(range(len(names)), y, where="mid", color=colour, label=label)
        if comparison.first_difference in names:
            first = names.index(comparison.first_difference)
            ax.plot(first, y[first], marker="o", color=colour)
    ax.axhline(TOLERANCE["float64"], color=FAINT, linestyle="--", linewidth=1)
    layers = sorted({int(name.split(".")[1]) for name in names if name.startswith("layer.")})
    starts = [next(n for n, name in enumerate(names) if name.startswith(f"layer.{i}.")) for i in layers]
    ends = [n for n, name in enumerate(names) if name in ("pixels", "norm")]
    ticks = {**{n: names[n] for n in ends}, **{n: f"layer {i}" for n, i in zip(starts, layers)}}
    ax.set_xticks(sorted(ticks), [ticks[n] for n in sorted(ticks)], rotation=45, ha="right", rotation_mode="anchor")
    ax.set(yscale="log", ylim=(FLOOR, 10), xlabel="step, in the network's order", ylabel="relative difference")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _relative(comparison):
    return np.array([min(max(row.relative, FLOOR), 10) for row in comparison.rows])
