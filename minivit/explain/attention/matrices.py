"""Every matrix of one attention section, drawn: from q, k and v to the heads side by side (equations 5-8)."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import MAGNITUDE, WIDTH, signed_limits, styled

STEPS = 9
PER_HEAD = {"query": "query q", "key": "key k", "value": "value v", "scores": "scores q kᵀ / √d",
            "attention": "attention A", "heads": "head A v"}


def attention_steps(trace, layer, image=0):
    """{name: array} of one layer's attention on one image of a trace: query, key, value (H, T, d), scores and
    attention (H, T, T), heads = A v (H, T, d), merged = the heads side by side (T, D), attended (T, D).
    """
    steps = {name: trace[f"layer.{layer}.{name}"][image]
             for name in ("query", "key", "value", "scores", "attention", "attended")}
    steps["heads"] = steps["attention"] @ steps["value"]                # (H, T, d)
    H, T, d = steps["heads"].shape
    steps["merged"] = steps["heads"].transpose(1, 0, 2).reshape(T, H * d)
    return steps


@styled
def attention_matrices_figure(steps, title=None):
    """A row a head: query, key, value, scores, attention, and what the head returns.

    steps: as `attention_steps` returns them. Signed numbers are orange below zero and purple above. A column has one
    scale for all heads, clipped at its 99.5th percentile, so that one large number does not hide the rest; attention,
    which is never negative, has its own colours. Returns a figure.
    """
    H, T, d = steps["query"].shape
    figure, axes = plt.subplots(H, 6, figsize=(WIDTH, 1.55 * H + 0.9), width_ratios=[1, 1, 1, 1.7, 1.7, 1],
                                squeeze=False)
    figure.suptitle(title)
    for column, (name, heading) in zip(axes.T, PER_HEAD.items()):
        for h, ax in enumerate(column):
            mesh = ax.imshow(steps[name][h], aspect="auto", **_scale(name, steps[name]))
            ax.set(xticks=[], yticks=[])
        last = (T if steps[name].shape[-1] == T else d) - 1
        column[0].set_title(heading)
        column[-1].set(xticks=[0, last], xlabel="token looked at" if last == T - 1 else "feature")
        figure.colorbar(mesh, ax=column.tolist(), location="bottom", aspect=12)
    for h in range(H):
        axes[h, 0].set_ylabel(f"head {h}\ntoken")
    return figure


@styled
def merged_heads_figure(steps):
    """The heads side by side, with a line between them, and what the output projection makes of them (equation 8)."""
    d = steps["query"].shape[-1]
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.6))
    headings = {"merged": "merged [SA₁ … SA_H]: heads side by side", "attended": "attended = merged U_msa + b"}
    for ax, (name, heading) in zip(axes, headings.items()):
        mesh = ax.imshow(steps[name], aspect="auto", **_scale(name, steps[name]))
        ax.set(title=heading, xlabel="feature", ylabel="token", yticks=[])
        figure.colorbar(mesh, ax=ax)
        if name == "merged":
            for edge in range(d, steps[name].shape[1], d):
                ax.axvline(edge - 0.5, color="black", linewidth=1)
    return figure


def _scale(name, array):
    """One colour scale for all heads, in few enough steps that the picture stays a small file."""
    largest = np.percentile(np.abs(array), 99.5)
    scale = {"cmap": MAGNITUDE, "vmin": 0, "vmax": largest} if name == "attention" else signed_limits(largest)
    return scale | {"cmap": plt.get_cmap(scale["cmap"], STEPS)}
