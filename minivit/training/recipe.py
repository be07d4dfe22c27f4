"""The recipe of a run: everything that decides its result, beside the data and the model's config."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The settings of a run. Raises ValueError for one out of range.

    epochs: passes over the training images. batch_size: images a step. peak_rate: the learning rate after the warm-up.
    weight_decay: AdamW's, on weight matrices. warmup_epochs: the rise of the rate. label_smoothing: share of a label
    spread over all classes. largest_gradient: joint norm to which gradients are clipped. padding: largest shift of an
    image, pixels. held_out: images kept back to measure on. seed: decides weights, order and augmentation.

    The rest is off by default. average: the weights' moving average keeps this share a step, and is what the run
    returns. mixup, cutmix: the α of the Beta distribution that a pair's share is drawn from. erase: share of the images
    that lose a rectangle.
    """

    epochs: int = 25
    batch_size: int = 128
    peak_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 2
    label_smoothing: float = 0.1
    largest_gradient: float = 1.0
    padding: int = 4
    held_out: int = 1000
    seed: int = 0
    average: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    erase: float = 0.0

    def __post_init__(self):
        for name, low in (("epochs", 1), ("batch_size", 1), ("padding", 0), ("held_out", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise ValueError(f"{name} is a whole number from {low} on, found {value!r}")
        for name in ("peak_rate", "largest_gradient"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is above 0, found {getattr(self, name)}")
        for name in ("weight_decay", "warmup_epochs", "mixup", "cutmix"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is at least 0, found {getattr(self, name)}")
        for name in ("label_smoothing", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 0 and below 1, found {getattr(self, name)}")
        if not 0 <= self.erase <= 1:
            raise ValueError(f"erase is a share, 0 to 1, found {self.erase}")
