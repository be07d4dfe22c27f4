"""Saliency: the gradient of a class's score for every pixel (Simonyan et al. 2013, arXiv 1312.6034)."""

import matplotlib.pyplot as plt
import numpy as np

from ...engine.devices import to_device
from ...images.preparation import denormalise
from ..style import WIDTH, bare, draw_picture, signed_limits, styled


def saliency(model, x, label):
    """d logit / d pixels for one class. x: prepared images (B, H, W, 3); label: the class's number.

    The upstream gradient is 1 at the class's logit and 0 elsewhere. Returns (B, H, W, 3).
    """
    logits, cache = model.forward(x)
    dlogits = np.zeros_like(logits)
    dlogits[:, label] = 1
    return model.backward(dlogits, cache)[0]


@styled
def saliency_figure(model, x, labels):
    """The image, then for each class the gradient of its score: the sum over the colours, signed, and the size."""
    picture = denormalise(to_device(x[0], "cpu"), model.preprocessing)
    maps = [to_device(saliency(model, x, label), "cpu")[0] for label in labels]            # (H, W, 3) each
    figure, axes = plt.subplots(1, 2 * len(labels) + 1, figsize=(WIDTH, 2.7))
    draw_picture(axes[0], picture, "the model's input")
    bare(axes[0])
    axes[0].set(xlabel="", ylabel="")
    # A few pixels outshine the rest: colours end at the 99th percentile, and the bars' points say so.
    largest = np.quantile(np.abs(np.stack([m.sum(axis=-1) for m in maps])), 0.99)
    strongest = np.quantile(np.stack([np.linalg.norm(m, axis=-1) for m in maps]), 0.99)
    for label, gradient, signed, size in zip(labels, maps, axes[1::2], axes[2::2]):
        name = model.labels[label] if model.labels else f"class {label}"
        first = signed.imshow(gradient.sum(axis=-1), **signed_limits(largest))
        signed.set_title(f"{name}: lighter (+)\nor darker (−)")
        second = size.imshow(np.linalg.norm(gradient, axis=-1), vmin=0, vmax=strongest)
        size.set_title(f"{name}: size")
        bare(signed)
        bare(size)
    figure.colorbar(first, ax=axes[-2], label="d logit / d pixel", orientation="horizontal", extend="both")
    figure.colorbar(second, ax=axes[-1], label="norm over R, G, B", orientation="horizontal", extend="max")
    return figure
