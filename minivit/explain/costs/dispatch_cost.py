"""What a call costs before it computes anything: one NumPy function on arrays of growing size, timed."""

import timeit

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, styled

SIZES = tuple(4 ** n for n in range(11))                                # elements, up to a million


def seconds_a_call(wrap=lambda array: array, sizes=SIZES, repeats=25, budget=0.001):
    """Seconds of np.add(x, y) for float32 x, y of each size, the best of some repeats of `budget` seconds each.

    wrap: makes of a NumPy array the array to call with, such as one of a class that NumPy's protocols dispatch to.
    """
    times = []
    for size in sizes:
        x, y = (wrap(np.ones(size, np.float32)) for _ in range(2))
        timer = timeit.Timer(lambda x=x, y=y: np.add(x, y))
        number = max(1, int(budget / max(timer.timeit(3) / 3, 1e-9)))
        times.append(min(timer.repeat(repeats, number)) / number)
    return np.array(times)


@styled
def dispatch_cost_figure(times, sizes=SIZES):
    """Time a call over the array's size, both logarithmic. times: {label: seconds (len(sizes),)}. Returns a figure."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.4))
    for (label, seconds), colour in zip(times.items(), COLOURS):
        ax.loglog(sizes, 1e6 * seconds, marker="o", color=colour, label=label)
    ax.set(xlabel="elements of each array (float32)", ylabel="time of one np.add (µs)")
    ax.grid(alpha=0.3)
    ax.legend()
    return figure
