"""How exact an answer is: float32 against float64 along the network, beside the mistakes one might want to see."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, styled


def relative_error(a, b):
    """‖a - b‖ / ‖b‖, in float64."""
    b = np.asarray(b, np.float64)
    return float(np.linalg.norm(np.asarray(a, np.float64) - b) / np.linalg.norm(b))


@styled
def precision_figure(errors, mistakes):
    """Left: the relative error of float32 at each traced step, in the network's order. Right: the logits' relative
    error for each of several mistakes, with float32's own as a line. errors: {step: error}. mistakes: {what: error}.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), width_ratios=(1.35, 1))
    errors = {name: error for name, error in errors.items() if error > 0}                  # the pixels are float32
    places = np.arange(len(errors))
    left.semilogy(places, list(errors.values()), ".-", linewidth=1)
    layers = {}
    for place, name in enumerate(errors):
        if name.startswith("layer."):
            layers.setdefault(name.split(".")[1], place)
    left.set_xticks(list(layers.values()), [f"layer {i}" for i in layers], rotation=30, ha="right")
    left.set(xlabel="step of the trace, in order", ylabel="relative error", title="float32 against float64")
    left.axhline(np.finfo(np.float32).eps / 2, color="#888888", linestyle="--", linewidth=1)
    left.text(0, np.finfo(np.float32).eps / 2 * 0.8, "half a float32 step, 6e-8", va="top", fontsize=9.5)
    left.set_ylim(bottom=2e-8)
    bars = np.arange(len(mistakes))
    right.barh(bars, list(mistakes.values()), color=COLOURS[1], height=0.6)
    right.axvline(errors["logits"], color=COLOURS[0], linewidth=2)
    right.text(errors["logits"] * 0.7, len(bars) - 0.45, "float32", color=COLOURS[0], ha="right", fontsize=10)
    right.set_yticks(bars, list(mistakes))
    right.set(xscale="log", xlim=(1e-9, 1), xlabel="relative error of the logits", ylim=(len(bars) - 0.3, -0.6),
              title="small mistakes, made in float64")
    return figure
