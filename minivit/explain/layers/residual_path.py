"""What the residual sums are for: signal and gradient over depth, with the sums and without them, before training.

    with       z ← z + f(z)         dz ← dz + dz ∂f/∂z       there is always a way around f
    without    z ← f(z)             dz ← dz ∂f/∂z            everything has to pass through every f
"""

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

from ... import attention, layer_norm, mlp
from ..relatives import check_plain_layers
from ..style import COLOURS, WIDTH, styled
from .residual_stream import token_similarity


@dataclass
class Depths:
    """One number per depth, L + 1 each: how alike the tokens are; the norm of the gradient that arrives; and the mean
    over the tokens of the cosine between the gradient that arrives at a token and the one that it was given at the end.
    """

    similarity: np.ndarray
    gradient: np.ndarray
    direction: np.ndarray


def through_layers(x, dy, blocks, num_heads, residual=True):
    """Forward and backward through a stack of layers. Returns Depths.

    x, dy: the tokens at depth 0 and the gradient at depth L, (B, T, D). blocks: the layers' params. residual: False
    leaves both sums of every layer out. Raises ValueError for layers with LayerScale or SwiGLU.
    """
    check_plain_layers(blocks)
    tape, similarity = [], [token_similarity(x)]
    for block in blocks:
        for norm, section, name, heads in (("norm1", attention, "attn", (num_heads,)), ("norm2", mlp, "mlp", ())):
            normed, norm_cache = layer_norm.forward(x, block[norm])
            branch, cache = section.forward(normed, block[name], *heads)
            x = x + branch if residual else branch
            tape.append((section, cache, norm_cache))
        similarity.append(token_similarity(x))
    at_the_end, gradient, direction = dy, [np.linalg.norm(dy)], [1.0]
    for step, (section, cache, norm_cache) in enumerate(reversed(tape)):
        dbranch, _ = layer_norm.backward(section.backward(dy, cache)[0], norm_cache)
        dy = dy + dbranch if residual else dbranch
        if step % 2:                                                    # both halves of a layer are passed
            gradient.append(np.linalg.norm(dy))
            direction.append(_mean_cosine(dy, at_the_end))
    return Depths(np.array(similarity), np.array(gradient[::-1]), np.array(direction[::-1]))


def _mean_cosine(a, b):
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)   # (B, T)
    return float(((a * b).sum(axis=-1) / lengths).mean())


@styled
def residual_path_figure(one_upstream, own_upstream):
    """Three panels over depth: how alike the tokens are; the gradient's norm, one upstream for all tokens; and how much
    of its direction each token's gradient keeps, with an upstream of its own.

    Both: {label: [Depths, one per draw of weights and gradient]}. Bars are the standard deviation over the draws, of
    the norms that of their logarithm. Returns a figure.
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.5))
    panels = ((axes[0], one_upstream, lambda run: run.similarity), (axes[2], own_upstream, lambda run: run.direction),
              (axes[1], one_upstream, lambda run: np.log(run.gradient / run.gradient[-1])))
    for ax, runs, measure in panels:
        for (label, draws), colour, marker in zip(runs.items(), COLOURS, "os"):
            values = np.array([measure(run) for run in draws])                                        # (draws, L + 1)
            centre, spread = values.mean(axis=0), values.std(axis=0, ddof=1) if len(draws) > 1 else 0 * values[0]
            low, high = centre - spread, centre + spread
            if ax is axes[1]:
                centre, low, high = np.exp(centre), np.exp(low), np.exp(high)
            ax.errorbar(range(len(centre)), centre, (centre - low, high - centre), color=colour, marker=marker,
                        markersize=4, elinewidth=0.8, capsize=2, label=label)
    axes[1].set_yscale("log")
    axes[0].set(title="forward: how alike?", ylabel="mean cosine of two tokens", ylim=(None, 1.05))
    axes[1].set(title="backward: how large?", ylabel="norm / norm at the output")
    axes[2].set(title="backward: still its own?", ylabel="cosine with its upstream", ylim=(-0.1, 1.05))
    for ax in axes:
        ax.set_xlabel("depth (layers passed)")
    axes[0].legend(loc="lower right")
    return figure
