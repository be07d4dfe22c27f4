"""Which patterns the patch embedding lets through loudly: its gain for waves of every frequency that fits a patch.

    gain(u) = ‖u E‖  for a pattern u of P²C numbers with ‖u‖ = 1
"""

import matplotlib.pyplot as plt
import numpy as np

from ..style import WIDTH, styled


def cosine_patterns(patch_size):
    """Grey waves of length one, a basis of the grey patches: (P, P, P²·3), by half waves down and across (DCT-II)."""
    P = patch_size
    half_waves = np.arange(P)
    waves = np.cos(np.pi * half_waves[:, None] * (np.arange(P) + 0.5) / P)                # (P, P): a wave a row
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    grey = np.einsum("ia,jb->ijab", waves, waves)[..., None].repeat(3, axis=-1) / np.sqrt(3)
    return grey.reshape(P, P, P * P * 3)


def gains(weight, patch_size):
    """‖u E‖ for each of the waves: (P, P). weight: E (P²C, D)."""
    return np.linalg.norm(cosine_patterns(patch_size) @ np.asarray(weight, np.float64), axis=-1)


@styled
def gain_figure(patch_size, **weights):
    """The waves themselves, and the gain for each under every weight given: gain_figure(4, random=E0, trained=E).

    The number is the gain; the colour compares it with the largest of its panel.
    """
    P = patch_size
    patterns = cosine_patterns(P).reshape(P, P, P, P, 3)[..., 0]
    tables = {name: gains(weight, P) for name, weight in weights.items()}
    figure, axes = plt.subplots(1, 1 + len(tables), figsize=(WIDTH, 3.2))
    for i in range(P):
        for j in range(P):
            axes[0].imshow(patterns[i, j], extent=(j - 0.42, j + 0.42, i + 0.42, i - 0.42), cmap="gray",
                           vmin=-abs(patterns[i, j]).max(), vmax=abs(patterns[i, j]).max())
    axes[0].set(xlim=(-0.5, P - 0.5), ylim=(P - 0.5, -0.5), title="the waves", facecolor="#8fb3d9")
    for ax, (name, table) in zip(axes[1:], tables.items()):
        mesh = ax.imshow(table / table.max(), vmin=0, vmax=1)
        ax.set_title(f"gain, {name} weights")
        for (i, j), gain in np.ndenumerate(table):
            ax.text(j, i, f"{gain:.2f}", ha="center", va="center", fontsize=9,
                    color="black" if gain > 0.6 * table.max() else "white")
    for ax in axes:
        ax.set(xticks=range(P), yticks=range(P), xlabel="half waves across")
    axes[0].set_ylabel("half waves down")
    figure.colorbar(mesh, ax=axes, label="gain / largest of the panel", shrink=0.8)
    return figure
