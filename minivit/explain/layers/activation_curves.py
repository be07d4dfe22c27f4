"""GELU drawn: the function, its slope, how far its two forms are apart, and where trained units stand on it."""

import matplotlib.pyplot as plt
import numpy as np

from ... import gelu, linear
from ..style import COLOURS, FAINT, WIDTH, styled


def pre_activations(trace, model, layer):
    """What enters GELU in one layer, (B, T, M): the MLP's input through its first linear map."""
    expanded, _ = linear.forward(trace[f"layer.{layer}.norm2"], model.params["blocks"][layer]["mlp"]["fc1"])
    return expanded


@styled
def gelu_figure(reach=4.0):
    """Three panels for x from -reach to reach: GELU beside ReLU, the slopes of both, and erf form minus tanh form."""
    x = np.linspace(-reach, reach, 801)
    (y, slope), (y_tanh, slope_tanh) = gelu.forward(x, "erf"), gelu.forward(x, "tanh")
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.1))
    axes[0].plot(x, np.maximum(x, 0), color=FAINT, linestyle="--", label="ReLU")
    axes[0].plot(x, y, label="GELU")
    axes[0].set(title="the function", ylabel="y", ylim=(-0.6, 2.4), xlim=(-reach, 2.4))
    axes[1].plot(x, x > 0, color=FAINT, linestyle="--", label="ReLU")
    axes[1].plot(x, slope, label="GELU")
    axes[1].set(title="its slope dy/dx", ylabel="dy/dx")
    axes[2].plot(x, 1e4 * (y - y_tanh), color=COLOURS[1], label="function")
    axes[2].plot(x, 1e4 * (slope - slope_tanh), color=COLOURS[2], linestyle="--", label="slope")
    axes[2].set(title="erf form − tanh form", ylabel="difference (10⁻⁴)")
    for ax in axes:
        ax.axhline(0, color=FAINT, linewidth=0.6)
        ax.set_xlabel("x")
        ax.legend()
    return figure


@styled
def pre_activations_figure(expanded, reach=6.0):
    """Histograms of what enters GELU, a curve a layer, over GELU itself. expanded: one (B, T, M) array a layer."""
    figure, axes = plt.subplots(figsize=(WIDTH * 0.75, 3.4))
    edges = np.linspace(-reach, reach, 121)
    colours = plt.get_cmap("viridis", len(expanded))
    for i, array in enumerate(expanded):
        density, _ = np.histogram(array, edges, density=True)
        axes.stairs(density, edges, color=colours(i), label=f"layer {i}")
    axes.set(xlabel="input of GELU", ylabel="density", title="where the hidden units stand")
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.legend(loc="upper left")
    beside = axes.twinx()
    x = np.linspace(-reach, reach, 241)
    beside.plot(x, gelu.forward(x, with_cache=False)[0], color=COLOURS[1], linestyle=":")
    beside.set_ylabel("GELU(x), dotted", color=COLOURS[1])
    beside.spines["right"].set_visible(True)
    return figure
