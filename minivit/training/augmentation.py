"""Augmentation: each epoch shows every image a little differently, so that the network learns what stays the same."""

import numpy as np


def crop_and_flip(images, rng, padding=4):
    """Shift by up to `padding` pixels, the border filled with zeros, and mirror half of them.

    images: uint8 (B, H, W, 3). Returns a new array of that shape.
    """
    B, H, W, _ = images.shape
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    top, left = rng.integers(0, 2 * padding + 1, (2, B))
    mirrored = rng.random(B) < 0.5
    columns = np.arange(W)
    columns = left[:, None] + np.where(mirrored[:, None], columns[::-1], columns)         # (B, W)
    rows = top[:, None] + np.arange(H)                                                   # (B, H)
    return padded[np.arange(B)[:, None, None], rows[:, :, None], columns[:, None, :]]


def smooth(labels, num_classes, amount):
    """Labels (B,) as probabilities (B, K): 1 - amount for the class, the rest spread over all (Szegedy et al. 2015)."""
    targets = np.full((len(labels), num_classes), amount / num_classes, np.float32)
    targets[np.arange(len(labels)), labels] += 1 - amount
    return targets
