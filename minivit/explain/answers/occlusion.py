"""Occlusion: which patches does the answer depend on? Paint one over and ask again (Zeiler & Fergus, arXiv 1311.2901).

    occlusion of patch i  = log p(class | image) - log p(class | image with patch i in the image's mean colour)
    gradient of patch i   = ‖∂ log p(class) / ∂ the pixels of patch i‖

Both ask the whole network, head included; an attention map asks one part of it. That makes them its counter-check.
"""

import matplotlib.pyplot as plt
import numpy as np

from ...loss import log_softmax
from ...patch_embedding import patchify, unpatchify
from ..style import WIDTH, bare, signed_limits, styled


def occlusion_map(model, x, classes):
    """How much log p of a class, in nats, each patch holds up: (B, rows, columns). x: (B, H, W, 3). classes: (B,)."""
    grid, N = model.config.grid, model.config.num_patches
    maps = []
    for image, k in zip(x, classes):
        copies = np.repeat(image[None], N, axis=0)                                                      # (N, H, W, 3)
        variants = painted_over(copies, np.arange(N, like=x)[:, None], model.config)                    # (N, H, W, 3)
        log_p = log_softmax(model(np.concatenate([image[None], variants])))[:, k]                       # (N + 1,)
        maps.append((log_p[0] - log_p[1:]).reshape(grid))
    return np.stack(maps)


def gradient_map(model, x, classes):
    """The norm of d log p(class) / d pixels over each patch: (B, rows, columns). x: (B, H, W, 3). classes: (B,)."""
    logits, cache = model.forward(x)
    dlogits = -np.exp(log_softmax(logits))                              # d log p_k / d logits = one-hot - p
    dlogits[np.arange(len(x), like=x), np.asarray(classes, like=x)] += 1
    dx, _ = model.backward(dlogits, cache)                              # (B, H, W, 3)
    norms = np.linalg.norm(patchify(dx, model.config.patch_size), axis=-1)                              # (B, N)
    return norms.reshape(len(x), *model.config.grid)


def painted_over(x, patches, config):
    """Images (B, H, W, 3) with the patches numbered in `patches` (B, k) in each image's own mean colour."""
    cut = patchify(x, config.patch_size).copy()                         # (B, N, P²C)
    colour = x.mean(axis=(1, 2))                                        # (B, 3)
    cut[np.arange(len(x), like=x)[:, None], patches] = np.tile(colour, config.patch_size ** 2)[:, None]
    return unpatchify(cut, config.patch_size, config.grid)


def rank_correlation(a, b):
    """Spearman's correlation of two maps a member: (B,). a, b: (B, ...). 1: the same order of patches, 0: none."""
    ranks = [np.argsort(np.argsort(m.reshape(len(m), -1), axis=1), axis=1).astype(float) for m in (a, b)]
    ranks = [r - r.mean(axis=1, keepdims=True) for r in ranks]
    return (ranks[0] * ranks[1]).sum(axis=1) / np.sqrt((ranks[0] ** 2).sum(axis=1) * (ranks[1] ** 2).sum(axis=1))


@styled
def counter_check_figure(images, occlusion, others, titles):
    """A column an image: the image, its occlusion map, and other maps below. others: {name: (B, rows, columns)}.

    Occlusion is signed: white is no effect, and below each of its maps stands how far, in nats, its scale reaches to
    both sides. Every other map has its own scale too, from its smallest to its largest value.
    """
    figure, axes = plt.subplots(2 + len(others), len(images), figsize=(WIDTH, 2.8 + 1.1 * len(others)), squeeze=False)
    for ax, image, title in zip(axes[0], images, titles):
        ax.imshow(image)
        ax.set_title(title, fontsize=9.5)
    for ax, one in zip(axes[1], occlusion):
        largest = np.abs(one).max() or 1.0
        mesh = ax.imshow(one / largest, **signed_limits(np.ones(1)))
        ax.set_xlabel(f"±{largest:.2g} nats", fontsize=8)
    figure.colorbar(mesh, ax=axes[1].tolist(), label="relative", fraction=0.02, pad=0.01)
    for row, (name, maps) in zip(axes[2:], others.items()):
        for ax, one in zip(row, maps):
            mesh = ax.imshow((one - one.min()) / (one.max() - one.min()))
        figure.colorbar(mesh, ax=row.tolist(), label="relative", fraction=0.02, pad=0.01)
        row[0].set_ylabel(name)
    axes[0][0].set_ylabel("image")
    axes[1][0].set_ylabel("occlusion")
    for ax in axes.flat:
        bare(ax)
    return figure
