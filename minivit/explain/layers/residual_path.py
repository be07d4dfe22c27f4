"""What the residual sums are for: signal and gradient over depth, with the sums and without them, before training.

    with       z ← z + f(z)         dz ← dz + dz ∂f/∂z       there is always a way around f
    without    z ← f(z)             dz ← dz ∂f/∂z            everything has to pass through every f
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from ... import attention, layer_norm, mlp
from ..style import COLOURS, WIDTH, styled
from .residual_stream import token_similarity


@dataclass
class Depths:
    """One number a depth, L + 1 each: how alike the tokens are, and the norm of the gradient that arrives."""

    similarity: np.ndarray
    gradient: np.ndarray


def through_layers(x, dy, blocks, num_heads, residual=True):
    """Forward and backward through a stack of layers. Returns Depths.

    x, dy: the tokens at depth 0 and the gradient at depth L, (B, T, D). blocks: the layers' params. residual: False
    leaves both sums of every layer out.
    """
    tape, similarity = [], [token_similarity(x)]
    for block in blocks:
        for norm, section, name, heads in (("norm1", attention, "attn", (num_heads,)), ("norm2", mlp, "mlp", ())):
            normed, norm_cache = layer_norm.forward(x, block[norm])
            branch, cache = section.forward(normed, block[name], *heads)
            x = x + branch if residual else branch
            tape.append((section, cache, norm_cache))
        similarity.append(token_similarity(x))
    gradient = [np.linalg.norm(dy)]
    for step, (section, cache, norm_cache) in enumerate(reversed(tape)):
        dbranch, _ = layer_norm.backward(section.backward(dy, cache)[0], norm_cache)
        dy = dy + dbranch if residual else dbranch
        if step % 2:                                                    # both halves of a layer are passed
            gradient.append(np.linalg.norm(dy))
    return Depths(np.array(similarity), np.array(gradient[::-1]))


@styled
def residual_path_figure(runs):
    """Two panels over depth: how alike the tokens are, and the gradient's norm relative to that at the output.

    runs: {label: Depths}. Returns a figure.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.3))
    for (label, depths), colour, marker in zip(runs.items(), COLOURS, "osD^"):
        axes[0].plot(depths.similarity, marker + "-", color=colour, label=label, markersize=4)
        axes[1].semilogy(depths.gradient / depths.gradient[-1], marker + "-", color=colour, label=label, markersize=4)
    axes[0].set(title="forward: how alike are the tokens?", ylabel="mean cosine of two tokens", ylim=(0, 1.05))
    axes[1].set(title="backward (from right to left): the gradient", ylabel="norm / norm at the output")
    for ax in axes:
        ax.set_xlabel("depth (layers passed)")
        ax.legend()
    return figure
