"""What is measured: a network, how many images at once, and whether they are answered or learned from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minivit.checkpoints.native import save
from minivit.config import ViTConfig
from minivit.training.initial_weights import init
from minivit.trees import flatten

FORWARD, TRAINING = "forward", "training step"
SMALL = "small model"
SMALL_CONFIG = ViTConfig(patch_size=4, width=128, num_layers=6, mlp_width=512, num_heads=4, num_classes=10,
                         image_size=32)
LEARNING_RATE, WEIGHT_DECAY = 1e-4, 0.05


@dataclass(frozen=True)
class Case:
    """One row of the table. name: how it calls the network. kind: FORWARD or TRAINING."""

    name: str
    config: ViTConfig
    images: int
    kind: str = FORWARD

    @property
    def title(self):
        """Such as "B/16 forward, 8 images"."""
        return f"{self.name} {self.kind}, {self.images} image{'s' if self.images > 1 else ''}"


def weights_file(case, folder):
    """The path of a .safetensors file with the case's weights, written where it is not there yet."""
    sides = "x".join(str(side) for side in case.config.height_width)
    path = Path(folder, f"{case.name.replace('/', '')}-{sides}.safetensors")
    if not path.exists():
        save(random_model(case.config), path)
    return path


def fresh_batch(config, images, rng):
    """Images (B, H, W, 3), float32 and normalised, and classes (B,), drawn anew at each call."""
    x = rng.standard_normal((images, *config.height_width, 3), np.float32)
    return x, rng.integers(0, config.num_classes, images)


def random_model(config, seed=0):
    """A model whose weights resemble trained ones, so that outputs that agree mean something.

    Attention is peaked (q and k with std 1.8/√D; the initial weights' is nearly uniform and would hide a mistake), the
    head is not zero, no bias is 0 and no LayerNorm's scale 1.
    """
    model = init(config, seed=seed)
    rng = np.random.default_rng(seed)
    for name, array in flatten(model.params).items():
        noise = rng.standard_normal(array.shape, np.float32)
        if "norm" in name:
            array += 0.1 * noise
        elif name.endswith("bias"):
            array[...] = 0.1 * noise
        elif name in ("cls_token", "pos_embed"):
            array[...] = 0.5 * noise
        else:
            array[...] = noise * np.float32(0.65 / len(array) ** 0.5)                    # (in, out)
            if "qkv" in name:
                D = config.width
                array[:, :2 * D] = noise[:, :2 * D] * np.float32(1.8 / D ** 0.5)
    return model
