"""What comes with the package: photos, thumbnails, and gradients as PyTorch computes them. See README.md here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CAT: Path = Path(__file__).parent / "cat.jpg"
CAT_UNCROPPED: Path = Path(__file__).parent / "cat_uncropped.jpg"
CAT_CROP = 11, 4, 439, 296                              # left, top, right, bottom: where CAT lies in CAT_UNCROPPED
PHOTOS: Path = Path(__file__).parent / "photos"         # nine, <class>/<name>.jpg, as `minivit evaluate` takes them
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10_test() -> tuple[np.ndarray, np.ndarray]:
    """The first ten test images of each class of CIFAR-10: uint8 (100, 32, 32, 3), and their labels (100,)."""
    with Image.open(Path(__file__).parent / "cifar10_test.png") as picture:
        grid = np.asarray(picture.convert("RGB"))                       # (320, 320, 3)
    tiles = grid.reshape(10, 32, 10, 32, 3).transpose(0, 2, 1, 3, 4)    # (10, 10, 32, 32, 3)
    return tiles.reshape(100, 32, 32, 3), np.repeat(np.arange(10), 10)


def plain_start() -> dict[str, np.ndarray]:
    """Two tables of a ViT that began with random weights alone, in float32, to be held against the packaged model's.

    Keys: filters (48, 128), as patch_embed.proj.weight has them, and positions (1, 65, 128), as pos_embed. The packaged
    model began with whitening filters and with sines and cosines; here all that is to be seen was learned. It is the
    model that minivit 0.1 came with, D 128, L 6, H 4, M 512, which named 83.9 % of CIFAR-10's test images right.
    """
    with np.load(Path(__file__).parent / "plain_start.npz") as file:
        return {name: array.astype(np.float32) for name, array in file.items()}


def pytorch_gradients() -> dict[str, Any]:
    """A small ViT as PyTorch has it, in float64: its weights, its loss on three images, and all 80 gradients.

    Keys: weights and gradients, {timm's name: array in timm's shape}; images (3, 8, 10, 3); labels (3,); loss; and
    settings, the arguments of ViTConfig. tests/reference/make_gradients.py made it.
    """
    with np.load(Path(__file__).parent / "pytorch_gradients.npz") as file:
        arrays = dict(file)
    groups = {f"{kind}s": {name.partition(":")[2]: array for name, array in arrays.items()
                           if name.startswith(f"{kind}:")} for kind in ("weight", "gradient")}
    return {"settings": json.loads(str(arrays["settings"])), **groups,
            **{name: arrays[name] for name in ("images", "labels", "loss")}}
