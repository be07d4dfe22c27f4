"""Augmentation: each epoch shows every image a little differently, so that the network learns what stays the same."""

import numpy as np

from ..images.preparation import normalise
from .rand_augment import rand_augment


def augmented(images, labels, model, recipe, rng):
    """The batch as the network sees it: normalised pixels (B, H, W, 3), and probabilities (B, K) to aim at."""
    images = crop_and_flip(images, rng, recipe.padding)
    if recipe.rand_augment:
        images = rand_augment(images, rng, recipe.rand_augment, recipe.magnitude)
    if recipe.erase:
        images = erase(images, rng, recipe.erase)
    x = normalise(images, model.preprocessing)
    targets = smooth(labels, model.config.num_classes, recipe.label_smoothing)
    if (recipe.mixup or recipe.cutmix) and (recipe.mixing == 1 or rng.random() < recipe.mixing):
        x, targets = mix(x, targets, rng, recipe.mixup, recipe.cutmix)
    return x, targets


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


def erase(images, rng, share):
    """A rectangle of noise over this share of the images, a fiftieth to a third of each (Zhong et al. 2017).

    images: uint8 (B, H, W, 3). Returns a new array of that shape.
    """
    images = images.copy()
    B, H, W, _ = images.shape
    for i in np.flatnonzero(rng.random(B) < share):
        area, aspect = rng.uniform(0.02, 1 / 3) * H * W, np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3)))
        h = int(np.clip(round((area * aspect) ** 0.5), 1, H))
        w = int(np.clip(round((area / aspect) ** 0.5), 1, W))
        top, left = rng.integers(0, H - h + 1), rng.integers(0, W - w + 1)
        images[i, top:top + h, left:left + w] = rng.integers(0, 256, (h, w, 3))
    return images


def mix(x, targets, rng, mixup, cutmix):
    """Each image blended with another of its batch, the targets in the same proportion.

    mixup (Zhang et al. 2017): share · x + (1 - share) · x'. cutmix (Yun et al. 2019): a rectangle of x' pasted over x,
    the share being what is left of x. Each is the α of the Beta(α, α) that a batch's share is drawn from, 0 for off;
    where both are on, each batch takes one of them. x: (B, H, W, 3). targets: (B, K). Returns both, new.
    """
    other = rng.permutation(len(x))
    paste = cutmix > 0 and (mixup == 0 or rng.random() < 0.5)
    share = rng.beta(cutmix, cutmix) if paste else rng.beta(mixup, mixup)
    if paste:
        x, share = _pasted(x, x[other], share, rng)
    else:
        x = np.float32(share) * x + np.float32(1 - share) * x[other]
    return x, np.float32(share) * targets + np.float32(1 - share) * targets[other]


def _pasted(x, patch, share, rng):
    """x with a rectangle of `patch` over 1 - share of it, cut off at the border, and the share that is left of x."""
    H, W = x.shape[1:3]
    h, w = round(H * (1 - share) ** 0.5), round(W * (1 - share) ** 0.5)
    middle_y, middle_x = rng.integers(H), rng.integers(W)
    rows = slice(max(0, middle_y - h // 2), min(H, middle_y - h // 2 + h))
    columns = slice(max(0, middle_x - w // 2), min(W, middle_x - w // 2 + w))
    x = x.copy()
    x[:, rows, columns] = patch[:, rows, columns]
    return x, 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (H * W)
