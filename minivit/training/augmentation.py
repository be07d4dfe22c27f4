"""Augmentation: each epoch shows every image a little differently, so that the network learns what stays the same.

What is drawn for each image by itself is done on the host, on whole numbers; what a batch has in common, normalising
and mixing, where the model is.
"""

from dataclasses import dataclass

import numpy as np

from ..engine.devices import device_of, to_device
from ..images.preparation import normalise
from .rand_augment import rand_augment


def augmented(images, labels, num_classes, recipe, rng):
    """A batch changed and drawn for: pixels uint8 (B, H, W, 3), probabilities (B, K) to aim at, and Mixing or None."""
    images = crop_and_flip(images, rng, recipe.padding, recipe.mirror)
    if recipe.rand_augment:
        images = rand_augment(images, rng, recipe.rand_augment, recipe.magnitude)
    if recipe.erase:
        images = erase(images, rng, recipe.erase)
    mixing = None
    if (recipe.mixup or recipe.cutmix) and (recipe.mixing == 1 or rng.random() < recipe.mixing):
        mixing = Mixing.draw(rng, images.shape[:3], recipe.mixup, recipe.cutmix)
    return images, smooth(labels, num_classes, recipe.label_smoothing), mixing


def seen(images, targets, mixing, preprocessing):
    """The batch as the network sees it, on whichever device it is: normalised (B, H, W, 3), and targets (B, K)."""
    x = normalise(images, preprocessing)
    return (x, targets) if mixing is None else mixing.mix(x, targets)


def crop_and_flip(images, rng, padding=4, mirror=True):
    """Shift by up to `padding` pixels, the border filled with zeros, and flip half of them horizontally.

    images: uint8 (B, H, W, 3). mirror: False for no flips, and the same shifts. Returns a new array of that shape.
    """
    B, H, W, _ = images.shape
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    top, left = rng.integers(0, 2 * padding + 1, (2, B))
    mirrored = (rng.random(B) < 0.5) & mirror        # drawn either way, so that all later numbers are the same
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


@dataclass
class Mixing:
    """How a batch is mixed: each image with image other[i] (B,), in the proportion share : 1 - share, the targets too.

    mixup (Zhang et al. 2017): share · x + (1 - share) · x'. CutMix (Yun et al. 2019): a rectangle of x', rows and
    columns, pasted over x, the share being what is left of x.
    """

    other: np.ndarray
    share: float
    rows: slice | None = None
    columns: slice | None = None

    @classmethod
    def draw(cls, rng, shape, mixup, cutmix):
        """shape: (B, H, W). mixup, cutmix: the α of the Beta(α, α) that a batch's share is drawn from, 0 for off.

        Where both are on, each batch takes one of them.
        """
        B, H, W = shape
        other = rng.permutation(B)
        paste = cutmix > 0 and (mixup == 0 or rng.random() < 0.5)
        share = rng.beta(cutmix, cutmix) if paste else rng.beta(mixup, mixup)
        if not paste:
            return cls(other, share)
        h, w = round(H * (1 - share) ** 0.5), round(W * (1 - share) ** 0.5)
        middle_y, middle_x = rng.integers(H), rng.integers(W)
        rows = slice(max(0, middle_y - h // 2), min(H, middle_y - h // 2 + h))          # cut off at the border
        columns = slice(max(0, middle_x - w // 2), min(W, middle_x - w // 2 + w))
        left = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (H * W)
        return cls(other, left, rows, columns)

    def mix(self, x, targets):
        """x: (B, H, W, 3). targets: (B, K). Returns both, new."""
        other = to_device(self.other, device_of(x))
        share, rest = np.float32(self.share), np.float32(1 - self.share)
        if self.rows is None:
            x = share * x + rest * x[other]
        else:
            x, pasted = x.copy(), x[other]
            x[:, self.rows, self.columns] = pasted[:, self.rows, self.columns]
        return x, share * targets + rest * targets[other]
