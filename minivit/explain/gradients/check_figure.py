"""The errors of a gradient check, tensor by tensor."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, FAINT, WIDTH, styled

FLOOR = 1e-16


@styled
def check_figure(check, tolerance=1e-7):
    """A dot per tensor of a minivit.GradientCheck at its relative error, with the tolerance. Returns a figure."""
    figure, ax = plt.subplots(figsize=(WIDTH * 0.8, 0.22 * len(check.rows) + 1))
    places = np.arange(len(check.rows))
    errors = np.maximum([row.error for row in check.rows], FLOOR)
    ax.semilogx(errors, places, "o", color=COLOURS[0])
    ax.hlines(places, FLOOR, errors, color=COLOURS[0], linewidth=0.8, alpha=0.5)
    ax.axvline(tolerance, color=COLOURS[1], linestyle="--")
    ax.text(tolerance * 1.3, 0, "tolerance", va="center", color=COLOURS[1])
    ax.set_yticks(places, [row.name for row in check.rows], fontsize=9)
    ax.set(xlim=(FLOOR, 1), ylim=(len(places) - 0.4, -0.6), xlabel="relative error, backward against differences")
    ax.grid(axis="x", color=FAINT, alpha=0.3)
    return figure
