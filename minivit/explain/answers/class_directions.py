"""The head's columns: one direction a class, and the angles between them."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import SIGNED, WIDTH, styled


def class_cosines(params, norm="norm"):
    """(K, K): the cosine between the directions of x̂, the normalised token, along which two classes' logits grow.

    The logit of class k is x̂ · (weight ∘ W[:, k]) and a constant, weight being the final LayerNorm's. What all classes
    share changes no probability, so their mean is taken out first.
    """
    if "attn_pool" in params or "head_dist" in params:
        raise ValueError("a class has one direction where one head reads one normed token: this model has "
                         + ("attention pooling" if "attn_pool" in params else "two heads"))
    directions = params[norm]["weight"][:, None] * params["head"]["weight"]             # (D, K)
    directions = directions - directions.mean(axis=1, keepdims=True)
    directions /= np.linalg.norm(directions, axis=0)
    return directions.T @ directions


@styled
def class_cosines_figure(cosines, names):
    """The matrix of `class_cosines` with its numbers; white is -1/(K - 1), and the diagonal is left out.

    Returns a figure.
    """
    figure, ax = plt.subplots(figsize=(WIDTH * 0.8, 6))
    K = len(names)
    usual = -1 / (K - 1)
    largest = np.abs(cosines[~np.eye(K, dtype=bool)] - usual).max()
    mesh = ax.imshow(np.where(np.eye(K), np.nan, cosines), cmap=SIGNED, vmin=usual - largest, vmax=usual + largest)
    ax.set_facecolor("#dddddd")
    for i, j in np.ndindex(cosines.shape):
        if i != j:
            strong = abs(cosines[i, j] - usual) > 0.6 * largest
            ax.text(j, i, f"{cosines[i, j]:.2f}", ha="center", va="center", fontsize=10,
                    color="white" if strong else "black")
    ax.set_xticks(range(K), names, rotation=45, ha="right")
    ax.set_yticks(range(K), names)
    ax.set_title("the classes' directions in the head, pair by pair")
    figure.colorbar(mesh, ax=ax, label=f"cosine; white is −1/{K - 1}")
    return figure
