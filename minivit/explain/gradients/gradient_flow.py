"""What becomes of the gradient on its way from the last layer to the first: its size and its direction."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, styled


def cosine(a, b):
    """The cosine of the angle between two arrays, each taken as one long vector."""
    return float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b)))


@styled
def gradient_flow_figure(flows):
    """Left the norm of the gradient at each layer's output, right its cosine with the one at the last layer's output.

    flows: {name: gradients (B, T, D), a list with layer 0 first}. Returns a matplotlib figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.3))
    for (name, gradients), colour, marker in zip(flows.items(), COLOURS, "os"):
        layers = np.arange(len(gradients))
        norms = np.array([np.linalg.norm(g) for g in gradients])
        left.semilogy(layers, norms / norms[-1], marker=marker, markersize=4, color=colour)
        right.plot(layers, [cosine(g, gradients[-1]) for g in gradients], marker=marker, markersize=4, color=colour,
                   label=name)
    left.set(xlabel="layer", ylabel="‖gradient‖, last layer = 1", title="size (read from right to left)")
    right.axhline(0, color="#888888", linewidth=0.8)
    right.set(xlabel="layer", ylabel="cosine with the last", ylim=(-0.15, 1.05), title="direction")
    right.legend(loc="center")
    return figure
