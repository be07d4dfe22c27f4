"""What a computation costs here, measured: seconds, bytes, and the power of the size with which they grow.

    cost ≈ c · sizeᵏ   ⇔   log cost ≈ log c + k log size

so on logarithmic axes the exponent k is a slope.
"""

import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np

from ...engine import blas_threads
from ..style import COLOURS, WIDTH, styled


def seconds(function, repeats=3):
    """The shortest of several runs, in seconds of one core, with BLAS on one thread.

    Processor time, not the clock on the wall: what else the machine does meanwhile is not counted.
    """
    best = float("inf")
    with blas_threads.blas().limit(limits=1):
        for _ in range(repeats):
            start = time.process_time()
            function()
            best = min(best, time.process_time() - start)
    return best


def peak_bytes(function):
    """The most memory that function() holds at a time, in bytes, beyond what was held before.

    NumPy reports its arrays to tracemalloc; what BLAS takes for itself is not seen.
    """
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def exponent(sizes, costs):
    """The k of cost ≈ c · sizeᵏ, by least squares on the logarithms. Raises ValueError below two sizes."""
    if len(sizes) < 2 or len(sizes) != len(costs):
        raise ValueError(f"an exponent needs two sizes or more, and a cost for each: "
                         f"found {len(sizes)} sizes, {len(costs)} costs")
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


@styled
def measured_figure(sizes, panels, xlabel, powers=None):
    """Costs over sizes on logarithmic axes, a panel for each {unit: {name: costs}}.

    powers: {name: k}, the power of the size that the equations say; a dashed line of that slope ends at the line's
    largest size. Returns a figure.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH if len(panels) > 1 else 0.6 * WIDTH, 3.7), squeeze=False)
    for ax, (unit, lines) in zip(axes[0], panels.items()):
        for (name, costs), colour in zip(lines.items(), COLOURS):
            ax.loglog(sizes, costs, "o-", color=colour, label=name)
            if name in (powers or {}):
                guide = costs[-1] * (np.array(sizes) / sizes[-1]) ** powers[name]
                ax.loglog(sizes, guide, "--", color=colour, linewidth=1, label=f"slope {powers[name]}")
        ax.set(xlabel=xlabel, ylabel=unit)
        ax.set_xticks(sizes, sizes)
        ax.minorticks_off()
        ax.legend()
    return figure
