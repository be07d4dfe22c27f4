"""Why scores are divided by √d: dot products of width-d vectors have variance d, and softmax saturates (Vaswani et al.
2017, arXiv 1706.03762, section 3.2.1).
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from ... import softmax
from ..style import COLOURS, FAINT, WIDTH, styled


@dataclass
class Saturation:
    """What dot products of random vectors do to softmax. One number a width d; *_plain without the division by √d."""

    widths: list
    variance: list
    largest: list
    largest_plain: list
    slope: list
    slope_plain: list


def saturation(widths=(1, 4, 16, 64, 256, 1024), tokens=65, queries=2000, seed=0):
    """Measure `Saturation` on standard normal queries and keys, `queries` of them, each looking at `tokens` keys.

    variance: of q · k. largest: the mean over queries of the largest weight. slope: the mean over queries of
    Σᵢ aᵢ (1 - aᵢ), the trace of softmax's Jacobian, which is what lets a gradient through.
    """
    rng = np.random.default_rng(seed)
    result = Saturation(list(widths), [], [], [], [], [])
    for d in widths:
        query, key = rng.standard_normal((queries, 1, d)), rng.standard_normal((queries, tokens, d))
        products = (query * key).sum(axis=-1)                           # (queries, tokens)
        result.variance.append(products.var())
        for scores, largest, slope in ((products / np.sqrt(d), result.largest, result.slope),
                                       (products, result.largest_plain, result.slope_plain)):
            weights, _ = softmax.forward(scores)                        # (queries, tokens)
            largest.append(weights.max(axis=-1).mean())
            slope.append((weights * (1 - weights)).sum(axis=-1).mean())
    return result


@styled
def saturation_figure(measured):
    """Three panels over the width d: variance of q · k, largest weight, and how much gradient softmax lets through."""
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.2))
    d = measured.widths
    axes[0].loglog(d, d, color=FAINT, label="d")
    axes[0].loglog(d, measured.variance, "o", color=COLOURS[0], label="measured")
    axes[0].set(title="variance of q · k", ylabel="variance")
    axes[0].legend()
    for ax, plain, scaled, heading in ((axes[1], measured.largest_plain, measured.largest, "largest weight of a row"),
                                       (axes[2], measured.slope_plain, measured.slope, "slope left, Σ aᵢ (1 − aᵢ)")):
        ax.semilogx(d, plain, "o-", color=COLOURS[1], label="softmax(q · k)")
        ax.semilogx(d, scaled, "s-", color=COLOURS[0], label="softmax(q · k / √d)")
        ax.set(title=heading, ylabel="mean over queries", ylim=(0, 1.05))
    axes[1].legend(loc="center right", bbox_to_anchor=(1, 0.3))             # between the two curves
    for ax in axes:
        ax.set(xlabel="width d of a head", xticks=d, xticklabels=d)
        ax.minorticks_off()
    return figure
