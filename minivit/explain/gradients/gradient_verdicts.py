"""What training shows of a wrong gradient, beside what a gradient check shows."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, FAINT, WIDTH, styled

FLOOR = 1e-13


@styled
def verdict_figure(curves, checks, smoothing=10):
    """Left: training loss, a running mean over `smoothing` steps. Right: a dot per tensor, its error in the check.

    curves: {name: losses}. checks: {name: GradientCheck}, under the same names. Returns a matplotlib figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.2), width_ratios=(1.1, 1))
    for (name, losses), colour in zip(curves.items(), COLOURS):
        smooth = np.convolve(losses, np.ones(smoothing) / smoothing, mode="valid")
        left.plot(np.arange(len(smooth)) + smoothing, smooth, color=colour, label=name)
    left.set(xlabel="training step", ylabel="cross-entropy (nats)", ylim=(0, None), title="what training shows")
    left.legend()
    rng = np.random.default_rng(0)
    for place, ((_, check), colour) in enumerate(zip(checks.items(), COLOURS)):
        errors = np.maximum([row.error for row in check.rows], FLOOR)
        places = place + rng.uniform(-0.25, 0.25, len(errors))
        right.semilogx(errors, places, "o", markersize=4, color=colour, alpha=0.7)
    right.axvline(1e-7, color=FAINT, linestyle="--", linewidth=1)
    right.text(2e-7, -0.62, "tolerance", ha="left", va="center", fontsize=10, color="#555555")
    right.set_yticks(range(len(checks)), list(checks))
    right.set(xlim=(FLOOR / 2, 30), ylim=(len(checks) - 0.4, -0.75), xlabel="relative error, a dot per tensor",
              title="what gradient_check shows")
    return figure
