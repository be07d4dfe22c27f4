"""Which token can move which: the sizes of the blocks of a section's Jacobian, measured with its backward pass.

    influence[i, j] = the size of ∂ output token i / ∂ input token j

Attention fills the matrix, the MLP and LayerNorm leave everything off the diagonal at zero.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from ..style import COLOURS, WIDTH, styled


def token_influence(section, x, *args, directions=4, seed=0):
    """(T, T): the root mean square gradient that output token i sends back to input token j, for the image x (1, T, D).

    section: a module or object with forward and backward, called as section.forward(x, *args). Random directions
    stand for the D outputs of a token, and all T of them go through one batch: image i asks for token i alone.
    """
    T, D = x.shape[1:]
    _, cache = section.forward(np.repeat(x, T, axis=0), *args)          # image i is to ask for token i
    rng = np.random.default_rng(seed)
    square = np.zeros((T, T))
    for _ in range(directions):
        dy = np.zeros((T, T, D), x.dtype)
        dy[np.arange(T), np.arange(T)] = rng.standard_normal((T, D))
        result = section.backward(dy, cache)
        dx = result[0] if isinstance(result, tuple) else result         # (T, T, D)
        square += (dx * dx).sum(axis=-1)
    return np.sqrt(square / directions)


def change_by_token(section, x, token, size=1.0, seed=0):
    """(T,): how far each output token moves when one input token of x (1, T, D) gets a random push of length `size`.

    section: a function of x that returns (1, T, D), such as lambda x: mlp.forward(x, params)[0]. Exactly zero means
    that the output does not read the token at all.
    """
    push = np.random.default_rng(seed).standard_normal(x.shape[-1])
    moved = x.copy()
    moved[:, token] += size * push / np.linalg.norm(push)
    return np.linalg.norm(section(moved) - section(x), axis=-1)[0]      # (T,)


@styled
def change_by_token_figure(changes, token):
    """Bars over the tokens, one panel a section. changes: {title: (T,)} as `change_by_token` returns them."""
    figure, axes = plt.subplots(1, len(changes), figsize=(WIDTH, 2.9), squeeze=False)
    for ax, (title, change) in zip(axes[0], changes.items()):
        ax.bar(range(len(change)), change, width=1.0, color=COLOURS[0])
        ax.bar(token, change[token], width=1.0, color=COLOURS[1], label=f"token {token}, the one pushed")
        ax.set(title=f"{title}: {np.count_nonzero(change)} of {len(change)} move", xlabel="output token",
               ylim=(0, 1.3 * change.max()))
        ax.legend(loc="upper right")
    axes[0, 0].set_ylabel("length of the change")
    return figure


@styled
def token_influence_figure(influences):
    """Matrices from `token_influence` side by side, logarithmic from the smallest size to the largest. Zero is white.

    influences: {title: (T, T)}. Returns a figure.
    """
    figure, axes = plt.subplots(1, len(influences), figsize=(WIDTH, 4.3), squeeze=False)
    for ax, (title, influence) in zip(axes[0], influences.items()):
        shown = np.ma.masked_equal(influence, 0.0)
        smallest, largest = shown.min(), shown.max()
        mesh = ax.imshow(shown, norm=LogNorm(smallest, largest))
        ax.set(title=title, xlabel="input token j", ylabel="output token i")
        bar = figure.colorbar(mesh, ax=ax, label="size of ∂ output i / ∂ input j", orientation="horizontal",
                              ticks=np.geomspace(smallest, largest, 3), format="%.2g")
        bar.minorticks_off()                                            # their labels would overlap
    return figure
