"""The recipe of a run: everything that decides its result, beside the data and the model's config."""

from dataclasses import dataclass

from ..ranges import real, shown, whole

WHOLE = {"epochs": (1, 10 ** 6), "batch_size": (1, 10 ** 6), "padding": (0, 4_096), "held_out": (0, 10 ** 9),
         "seed": (0, 2 ** 64 - 1), "rand_augment": (0, 100)}
REAL = {"peak_rate": (0, 1e30), "largest_gradient": (0, 1e30), "weight_decay": (0, 1e6), "warmup_epochs": (0, 1e6),
        "mixup": (0, 1e6), "cutmix": (0, 1e6), "label_smoothing": (0, 1), "average": (0, 1), "patch_dropout": (0, 1),
        "stochastic_depth": (0, 1), "erase": (0, 1), "magnitude": (0, 1), "mixing": (0, 1), "head_rate": (0, 1e6)}


@dataclass(frozen=True)
class Recipe:
    """The settings of a run. Raises ValueError for one out of range, and for one that would have no effect.

    epochs: passes over the training images. batch_size: images a step. peak_rate: the learning rate after the warm-up.
    weight_decay: on weight matrices. warmup_epochs: the rise of the rate. label_smoothing: share of a label spread over
    all classes. largest_gradient: joint norm to which gradients are clipped. padding: largest shift of an image,
    pixels. mirror: half of the images are flipped horizontally; not for digits, text or road signs, which then mean
    something else. held_out: images held out to measure on. seed: decides weights, order and augmentation.
    optimiser: "adamw", or "muon" for the layers' matrices.

    The rest is off by default. average: the weights' moving average keeps this share a step, and is what the run
    returns. mixup, cutmix: the α of the Beta distribution that a pair's share is drawn from. erase: share of the images
    that lose a rectangle. patch_dropout: share of the patches that each image goes without at the first step; it falls
    evenly to 0. stochastic_depth: rate at which images skip the last layer, less for earlier ones. rand_augment: how
    many of RandAugment's operations an image goes through, of this magnitude, 0 to 1. mixing: share of the batches that
    mixup or cutmix mixes, all of them by default. head_rate: the head's learning rate, as a multiple of the others' at
    every step. freeze: only the head is trained; the rest has no gradient, no moments and no decay. calibrate: the
    logits of each model that the run writes are divided by the temperature that fits the images held out. mimetic: the
    random weights that attention begins with have the pattern of trained ones. whiten: the patch embedding begins by
    whitening the training patches.
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
    patch_dropout: float = 0.0
    stochastic_depth: float = 0.0
    optimiser: str = "adamw"
    rand_augment: int = 0
    magnitude: float = 0.5
    mixing: float = 1.0
    head_rate: float = 1.0
    freeze: bool = False
    mirror: bool = True
    calibrate: bool = False
    mimetic: bool = False
    whiten: bool = False

    def __post_init__(self):
        for name, (low, high) in WHOLE.items():
            whole(name, getattr(self, name), low, high)
        for name, (low, high) in REAL.items():
            object.__setattr__(self, name, real(name, getattr(self, name), low, high))     # as JSON can hold it
        for name in ("peak_rate", "largest_gradient", "head_rate"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} is above 0, found 0")
        for name in ("label_smoothing", "average", "patch_dropout", "stochastic_depth"):
            if getattr(self, name) == 1:
                raise ValueError(f"{name} is at least 0 and below 1, found 1")
        if self.magnitude != Recipe.magnitude and not self.rand_augment:
            raise ValueError(f"magnitude {self.magnitude} changes nothing without rand_augment: "
                             "give the number of operations too")
        if self.mixing != Recipe.mixing and not (self.mixup or self.cutmix):
            raise ValueError(f"mixing {self.mixing} changes nothing without mixup or cutmix: give one of them too")
        if self.optimiser not in ("adamw", "muon"):
            raise ValueError(f'optimiser is "adamw" or "muon", found {self.optimiser!r}')
        for name in ("freeze", "mirror", "calibrate", "mimetic", "whiten"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} is True or False, found {shown(getattr(self, name))}")
        if self.calibrate and not self.held_out:
            raise ValueError("calibrate changes nothing without images held out, and held_out is 0: hold some out")
        if self.freeze and self.optimiser == "muon":
            raise ValueError("optimiser muon is for the layers' matrices, which freeze leaves as they are: give adamw")

    def check_fits(self, config):
        """Raises ValueError for settings that would leave nothing of this model's images, or change nothing."""
        height, width = config.height_width
        if self.padding >= min(height, width):
            raise ValueError(f"padding {self.padding} could shift an image of {height} x {width} pixels out of sight: "
                             "choose a smaller one")
        if self.stochastic_depth and config.num_layers == 1:
            raise ValueError("stochastic_depth skips later layers more often and the first never: "
                             "it needs at least 2 layers, found 1")
