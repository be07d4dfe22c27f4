"""Whitening: the patch embedding begins as a map that brings all directions of a training patch to one variance.

    C = V diag(λ) Vᵀ        the covariance of flattened patches, (P²C, P²C)
    E = s V_k diag(1 / √(λ_k + ε)) Q                b = -mean E

V_k: the k = min(D, P²C) directions of largest variance. Q (k, D): random with orthonormal rows, which spreads them over
the features. s: so that these have variance 1 on average. ε keeps directions of hardly any variance, noise, small.

Neighbouring pixels are nearly equal, so most of a patch's variance is its brightness and, with random weights, most of
every feature's too. Here edges and colours count as much from the first step (Coates, Lee & Ng 2011 whiten patches;
Jordan 2024, arXiv 2404.00498, in the first layer of a network).
"""

import numpy as np

from ..images.preparation import normalise
from ..patch_embedding import patchify

IMAGES = 2000                                                           # enough to know the covariance of patches by
FLOOR = 0.04                                                            # ε as a share of the mean of λ
NOTHING = 1e-12                                                         # a share of the squares: rounding, no variance


def whiten(params, config, images, preprocessing, rng):
    """Set the patch embedding of these params in place. images: uint8 (n, H, W, 3), IMAGES of them are enough.

    Raises ValueError where all patches are equal.
    """
    P = config.patch_size
    mean, covariance = moments(patchify(normalise(image[None], preprocessing), P)[0] for image in images)
    D, k = config.width, min(config.width, len(mean))
    variances, directions = np.linalg.eigh(covariance)                  # rising
    if variances[-1] <= NOTHING * (1 + mean @ mean):
        raise ValueError("whiten needs patches that differ: all of these images are of one colour")
    floor = FLOOR * variances.mean()
    variances, directions = variances[-k:], directions[:, -k:]
    left = (variances / (variances + floor)).sum()                      # of k directions with variance 1 each
    spread = np.linalg.qr(rng.standard_normal((D, k)))[0].T             # (k, D)
    weight = np.sqrt(D / left) * directions / np.sqrt(variances + floor) @ spread        # (P²C, D)
    proj = params["patch_embed"]["proj"]
    proj["weight"][:] = weight
    if "bias" in proj:
        proj["bias"][:] = -mean @ weight


def moments(patches):
    """Mean (P²C,) and covariance (P²C, P²C), in float64, of the patches (N, P²C) of one image after another."""
    count, total, products = 0, 0.0, 0.0
    for p in patches:
        p = p.astype(np.float64)
        count, total, products = count + len(p), total + p.sum(axis=0), products + p.T @ p
    mean = total / count
    return mean, products / count - np.outer(mean, mean)
