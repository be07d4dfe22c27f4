"""The head's columns: one direction a class, and the angles between them."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import WIDTH, signed_limits, styled


def class_cosines(params, norm="norm"):
    """(K, K): the cosine between the directions of x̂, the normalised token, along which two classes' logits grow.

    The logit of class k is x̂ · (weight ∘ W[:, k]) and a constant, weight being the final LayerNorm's. What all classes
    share changes no probability, so their mean is taken out first.
    """
    directions = params[norm]["weight"][:, None] * params["head"]["weight"]             # (D, K)
    directions = directions - directions.mean(axis=1, keepdims=True)
    directions /= np.linalg.norm(directions, axis=0)
    return directions.T @ directions


@styled
def class_cosines_figure(cosines, names):
    """The matrix of `class_cosines` with its numbers; the diagonal, which is one, stays white. Returns a figure."""
    figure, ax = plt.subplots(figsize=(WIDTH * 0.72, 5.6))
    K = len(names)
    off_diagonal = cosines[~np.eye(K, dtype=bool)]
    mesh = ax.imshow(np.where(np.eye(K), np.nan, cosines), **signed_limits(off_diagonal))
    for i, j in np.ndindex(cosines.shape):
        if i != j:
            strong = abs(cosines[i, j]) > 0.7 * np.abs(off_diagonal).max()
            ax.text(j, i, f"{cosines[i, j]:.2f}", ha="center", va="center", fontsize=8.5,
                    color="white" if strong else "black")
    ax.set_xticks(range(K), names, rotation=45, ha="right")
    ax.set_yticks(range(K), names)
    ax.set_title("the classes' directions in the head, pair by pair")
    figure.colorbar(mesh, ax=ax, label="cosine")
    return figure
