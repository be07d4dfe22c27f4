"""The NumPy calls of a piece of the network as a score: one mark per call, from left to right as they are made."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, FAINT, WIDTH, styled

NO_KERNEL = ("reshape", "transpose", "swapaxes", "broadcast_to", "empty_like")
SECTIONS = ("layer_norm", "linear", "attention", "softmax", "gelu", "layer")
PART_OF = {"erf": "gelu"}


def kernels(calls):
    """The calls that compute something: without views of an array, and without memory set aside."""
    return [call for call in calls if call[0] not in NO_KERNEL]


@styled
def call_sheet_figure(calls):
    """One mark per call: its place in time across, the function down, its colour the section that makes it.

    calls: [(function, module, …)] of the plain ViT's encoder layer, in order. Hollow marks compute nothing. Returns a
    figure. Raises ValueError for calls of other sections.
    """
    counts = {}
    for function, *_ in calls:
        counts[function] = counts.get(function, 0) + 1
    functions = sorted(counts, key=lambda name: (name in NO_KERNEL, -counts[name]))
    sections = [PART_OF.get(module.split(".")[-1], module.split(".")[-1]) for _, module, *_ in calls]
    if others := sorted(set(sections) - set(SECTIONS)):
        raise ValueError(f"the sheet shows the plain ViT's encoder layer, and there are calls of {', '.join(others)}")
    figure, ax = plt.subplots(figsize=(WIDTH, 0.27 * len(functions) + 1.2))
    for section, colour in zip(SECTIONS, COLOURS):
        places = np.array([n for n, found in enumerate(sections) if found == section], int)
        rows = np.array([functions.index(calls[n][0]) for n in places], int)
        computes = np.array([calls[n][0] not in NO_KERNEL for n in places], bool)
        ax.scatter(places[computes] + 1, rows[computes], marker="s", s=34, color=colour, label=section)
        ax.scatter(places[~computes] + 1, rows[~computes], marker="s", s=30, facecolor="none", edgecolor=colour)
    ax.axhline(sum(name not in NO_KERNEL for name in functions) - 0.5, color=FAINT, linewidth=0.8, linestyle="--")
    ax.set_yticks(range(len(functions)), [f"{name} ({counts[name]})" for name in functions])
    ax.set(xlabel="number of the call, in order", ylabel="NumPy function (calls)", xlim=(0, len(calls) + 1))
    ax.invert_yaxis()
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(SECTIONS), handletextpad=0.2, columnspacing=1.2)
    return figure
