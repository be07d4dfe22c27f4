"""How one token comes to stand for an image: the read-out of many images, layer by layer."""

import matplotlib.pyplot as plt
import numpy as np

from ..layers.residual_stream import stream
from ..style import COLOURS, WIDTH, styled


def read_outs(prediction):
    """[CLS], and the mean of the patches, of a batch of images at every depth: two lists of L + 1 arrays (B, D).

    Raises ValueError for a model without [CLS].
    """
    config, depths = prediction.model.config, stream(prediction.trace)                               # (B, T, D) each
    if not config.class_token:
        raise ValueError("the model has no [CLS] token to read")
    first = config.num_prefix
    return [z[:, 0] for z in depths], [z[:, first:].mean(axis=1) for z in depths]


def cosine_similarity(vectors):
    """Cosine of the angle between all pairs of vectors (n, D): (n, n), between -1 and 1."""
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit @ unit.T


def nearest_mean_accuracy(vectors, labels):
    """Share of vectors (n, D) whose class has the nearest mean, by the cosine; each vector is left out of its own."""
    classes = np.unique(labels)
    right = 0
    for i, (vector, label) in enumerate(zip(vectors, labels)):
        others = np.arange(len(labels)) != i
        means = np.stack([vectors[others & (labels == k)].mean(axis=0) for k in classes])            # (K, D)
        cosines = means @ vector / np.linalg.norm(means, axis=1)
        right += classes[cosines.round(9).argmax()] == label               # equal ones must tie on every machine
    return right / len(labels)


@styled
def read_out_figure(cls_by_depth, class_names, depths):
    """Cosine similarity of [CLS] between all pairs of images, sorted by class, at some depths. Returns a figure."""
    figure, axes = plt.subplots(1, len(depths), figsize=(WIDTH, 3.7), sharey=True)
    per_class = len(cls_by_depth[0]) // len(class_names)
    ticks = np.arange(len(class_names)) * per_class + per_class / 2 - 0.5
    for ax, depth in zip(axes, depths):
        mesh = ax.imshow(cosine_similarity(cls_by_depth[depth]), vmin=0, vmax=1)
        ax.set_title(f"after layer {depth}" if depth else "before layer 1")
        ax.set_xticks(ticks, class_names, rotation=90)
        ax.set_xlabel("images of class")
    axes[0].set_yticks(ticks, class_names)
    axes[0].set_ylabel("images of class")
    figure.colorbar(mesh, ax=axes, label="cosine similarity", extend="min", shrink=0.8, pad=0.01)
    return figure


@styled
def read_out_accuracy_figure(accuracies, chance, count):
    """Accuracy against depth for several read-outs. accuracies: {name: [share after 0, 1, … layers]} of `count` images.

    The bars are one standard error, √(a (1 - a) / count).
    """
    figure, ax = plt.subplots(figsize=(WIDTH * 0.75, 3.2))
    for (name, shares), colour, marker in zip(accuracies.items(), COLOURS, "os^"):
        shares = np.array(shares)
        ax.errorbar(range(len(shares)), 100 * shares, 100 * np.sqrt(shares * (1 - shares) / count), color=colour,
                    marker=marker, capsize=3, label=name)
    ax.axhline(100 * chance, color="black", linestyle="--", linewidth=1, label="guessing")
    ax.set(xlabel="layers passed", ylabel="right class (%)", ylim=(0, None), xticks=range(len(shares)))
    ax.legend(loc="upper left")
    return figure
