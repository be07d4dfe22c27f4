"""The family from Ti/16 to G/14: what each member costs, and what published accuracies say of data and recipe."""

import matplotlib.pyplot as plt
import numpy as np

from ...counting import macs, parameter_count
from ..style import COLOURS, FAINT, WIDTH, styled
from .counts import cost_terms


@styled
def variants_figure(configs):
    """Left: parameters and MACs of every variant; right: where its parameters are. configs: {name: ViTConfig}."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.4))
    for name, c in configs.items():
        place = parameter_count(c) / 1e6, macs(c) / 1e9
        left.loglog(*place, "o", color=COLOURS[_patch_sizes(configs).index(c.patch_size)])
        left.annotate(name, place, xytext=(5, -11), textcoords="offset points", fontsize=9.5)
    for P in _patch_sizes(configs):
        left.plot([], [], "o", color=COLOURS[_patch_sizes(configs).index(P)], label=f"patches of {P} × {P} pixels")
    left.set(xlabel="parameters (millions)", ylabel="GMACs, one image of 224 × 224 pixels", xlim=(None, 4500),
             ylim=(0.6, None))
    left.legend(loc="upper left")
    _draw_shares(right, configs)
    return figure


@styled
def accuracy_figure(table, recipes, config_name):
    """Left: top-1 over pre-training data, a line a variant. Right: one architecture, one data set, several recipes.

    table: {variant: {data set: percent or None}}. recipes: {name: percent}. config_name: the variant of the recipes.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9), width_ratios=(1.15, 1))
    sets = list(next(iter(table.values())))
    for (name, row), colour in zip(table.items(), COLOURS):
        shown = [np.nan if row[s] is None else row[s] for s in sets]
        left.plot(sets, shown, "o-", color=colour, label=name)
    left.set(xlabel="pre-training data", ylabel="ImageNet top-1 (%)", title="the data (ViT paper, table 5)")
    left.legend(loc="lower right")
    for place, value in enumerate(recipes.values()):
        right.plot(value, place, "o", markersize=9, color=COLOURS[1] if place == 0 else COLOURS[0])
        right.annotate(f"{value:.2f}".rstrip("0"), (value, place), xytext=(9, -4), textcoords="offset points")
    right.set_yticks(range(len(recipes)), list(recipes))
    right.grid(axis="x", color=FAINT, alpha=0.3)
    right.set(xlim=(min(recipes.values()) - 1, max(recipes.values()) + 1.5), ylim=(len(recipes) - 0.5, -0.5),
              xlabel="ImageNet top-1 (%)", title=f"the recipe ({config_name}, ImageNet-1k alone)")
    return figure


def _patch_sizes(configs):
    return sorted({c.patch_size for c in configs.values()})


def _draw_shares(ax, configs):
    """Stacked bars: the share of attention, MLP and the rest in the parameters of each variant."""
    names, left = list(configs), np.zeros(len(configs))
    terms = [cost_terms(c) for c in configs.values()]
    groups = {"MLP": ("MLP",), "attention": ("q, k, v", "output projection"), "patch embedding": ("patch embedding",),
              "head": ("head",), "[CLS], positions, norms": ("[CLS], positions", "LayerNorms")}
    known = {member for members in groups.values() for member in members} | {"q kᵀ and A v"}
    others = sorted({m for t in terms for m in t} - known)              # a relative's
    groups |= {"the relatives' parts": tuple(others)} if others else {}
    for (group, members), colour in zip(groups.items(), COLOURS):
        share = np.array([100 * sum(t[m][0] for m in members if m in t) / sum(p for p, _ in t.values()) for t in terms])
        ax.barh(names, share, left=left, color=colour, label=group)
        left += share
    ax.invert_yaxis()
    ax.set(xlim=(0, 100), xlabel="share of the parameters (%)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, 1.2), ncols=3, columnspacing=1, handlelength=1)
