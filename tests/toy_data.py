"""A task that a tiny ViT learns in seconds: reddish images against bluish ones, the colour in one corner only."""

import numpy as np
from PIL import Image

from minivit.config import ViTConfig
from minivit.training.data import LabelledImages
from minivit.training.recipe import Recipe

TINY = ViTConfig(patch_size=4, width=16, num_layers=1, mlp_width=32, num_heads=2, num_classes=2, image_size=8)
SHORT = Recipe(epochs=3, batch_size=16, warmup_epochs=1, padding=1, held_out=16, seed=5)      # 4 steps an epoch


def colours(count=80, seed=0):
    """LabelledImages of noise, uint8 (count, 8, 8, 3), with a blue (class 0) or red (class 1) patch in some corner."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    images = rng.integers(0, 200, (count, 8, 8, 3), dtype=np.uint8)
    for image, label in zip(images, labels):
        top, left = 4 * rng.integers(0, 2, 2)
        image[top:top + 4, left:left + 4] = (255, 0, 0) if label else (0, 0, 255)
    return LabelledImages(images, labels, ["blue", "red"], [f"{i:04}.png" for i in range(count)])


def write_folder(data, folder):
    """The images as <folder>/<class>/<name>."""
    for image, label, name in zip(data.images, data.labels, data.names):
        path = folder / data.classes[label] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
