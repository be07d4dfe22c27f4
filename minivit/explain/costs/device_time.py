"""How long a device would take for the calls of a pass, by a simple model, call by call and with chains fused.

    work of a call     max(F_c / F, M_c / W)        arithmetic and memory at the same time: the slower one counts
    waiting each time  Σ (o + work)                 as on a CPU
    asynchronous       max(Σ o, Σ work)             a GPU works while Python prepares the next calls

F: floating-point operations per second. W: bytes of memory per second. o: seconds that a call takes before it computes.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, styled
from .call_sheet import NO_KERNEL
from .watched import Call

# What a chain becomes on a GPU: its kernels, and how many times these read or write the largest array (docs/gpu.md).
CHAINS = {"erf_form": (1, 2), "tanh_form": (1, 2),                      # read x, write y
          "softmax": (3, 4),                                            # read s three times, write a
          "normalise": (4, 4)}                                          # read x three times, write y


def work(calls, flops_per_second, bytes_per_second):
    """Seconds of each call's arithmetic or memory traffic, whichever is the longer: an array."""
    return np.array([max(c.flops / flops_per_second, c.bytes / bytes_per_second) for c in calls])


def pass_seconds(calls, flops_per_second, bytes_per_second, overhead, asynchronous=True):
    """Seconds of all calls that compute something, by the model above."""
    calls = [c for c in calls if c.name not in NO_KERNEL]
    seconds, prepared = work(calls, flops_per_second, bytes_per_second).sum(), overhead * len(calls)
    return max(prepared, seconds) if asynchronous else prepared + seconds


def with_batch(one, two, batch):
    """The calls for `batch` images, from those for one image and for two: each cost is a straight line in the batch."""
    if [c.name for c in one] != [c.name for c in two]:
        raise ValueError(f"expected the same calls for one image and two, found {len(one)} and {len(two)}")

    def line(a, b):
        return a + (batch - 1) * (b - a)

    return [a._replace(flops=line(a.flops, b.flops), bytes=line(a.bytes, b.bytes), made=line(a.made, b.made))
            for a, b in zip(one, two)]


def fused(calls):
    """The calls of a forward pass without a cache, each chain as its kernels, which share its arithmetic and bytes."""
    result = []
    for chain, group in itertools.groupby(calls, lambda call: call.chain):
        group = list(group)
        if chain is None:
            result += group
            continue
        kernels, passes = CHAINS[chain[1]]
        moved, flops = passes * max(c.made for c in group), sum(c.flops for c in group)
        result += [Call(chain[1], group[0].module, flops // kernels, moved // kernels, 0, chain)] * kernels
    return result


@styled
def batch_time_figure(calls_of_batch, batches, devices, overheads):
    """Predicted time per image over the batch, one panel per device, a band from the lowest to the highest overhead.

    calls_of_batch: {label: function from a batch to its calls}. devices: {name: (flops, bytes) per second}. overheads:
    (low, middle, high) seconds. Returns a figure.
    """
    figure, axes = plt.subplots(1, len(devices), figsize=(WIDTH, 4), sharey=True, squeeze=False)
    for ax, (name, (flops, moved)) in zip(axes[0], devices.items()):
        for (label, calls), colour in zip(calls_of_batch.items(), COLOURS):
            low, middle, high = (np.array([1e3 * pass_seconds(calls(B), flops, moved, o) / B for B in batches])
                                 for o in overheads)
            ax.fill_between(batches, low, high, color=colour, alpha=0.25, linewidth=0)
            ax.loglog(batches, middle, "o-", color=colour, label=label)
        ax.set(title=name, xlabel="images in a batch")
        ax.set_xticks(batches, batches)
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel("predicted time per image (ms)")
    axes[0, 0].legend()
    return figure
