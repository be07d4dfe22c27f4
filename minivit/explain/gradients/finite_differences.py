"""Central differences: how small a step may be, and how exact a slope can get."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, FAINT, WIDTH, styled


def three_point(f, h):
    """(f(h) - f(-h)) / 2h: the slope of f at 0, wrong by the order of h²."""
    return (float(f(h)) - float(f(-h))) / (2 * h)


def five_point(f, h):
    """(8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h: the slope of f at 0, wrong by the order of h⁴."""
    return (8 * (float(f(h)) - float(f(-h))) - (float(f(2 * h)) - float(f(-2 * h)))) / (12 * h)


def slope_errors(f, slope, steps, rule=five_point):
    """The relative error of a difference rule for each step size. slope: the true one. Returns (len(steps),)."""
    return np.array([abs(rule(f, h) - slope) / abs(slope) for h in steps])


@styled
def step_size_figure(steps, curves):
    """Relative error against step size, both on logarithmic axes. curves: {name: (len(steps),)}. Returns a figure."""
    figure, ax = plt.subplots(figsize=(WIDTH, 4.2))
    for (name, errors), colour, marker in zip(curves.items(), COLOURS, "osD^"):
        ax.loglog(steps, np.maximum(errors, 1e-16), marker=marker, markersize=4, color=colour, label=name)
    ax.axhline(1e-7, color=FAINT, linestyle="--", linewidth=1)
    ax.text(1e-5, 1.3e-7, "tolerance of gradient_check", ha="center", va="bottom", fontsize=10, color="#555555")
    ax.set(xlabel="step h, as a share of the input's norm", ylabel="relative error of the slope",
           title="← rounding: digits cancel          truncation: the curve bends →")
    ax.set_ylim(bottom=1e-16)
    ax.legend(loc="lower left", ncols=2)
    return figure
