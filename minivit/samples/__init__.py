"""Pictures that come with the package: a photo for the demo, and thumbnails for the notebooks. See README.md here."""

from pathlib import Path

import numpy as np
from PIL import Image

CAT: Path = Path(__file__).parent / "cat.jpg"
CAT_UNCROPPED: Path = Path(__file__).parent / "cat_uncropped.jpg"
CAT_CROP = 11, 4, 439, 296                              # left, top, right, bottom: where CAT lies in CAT_UNCROPPED
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar10_test() -> tuple[np.ndarray, np.ndarray]:
    """The first ten test images of each class of CIFAR-10: uint8 (100, 32, 32, 3), and their labels (100,)."""
    with Image.open(Path(__file__).parent / "cifar10_test.png") as picture:
        grid = np.asarray(picture.convert("RGB"))                       # (320, 320, 3)
    tiles = grid.reshape(10, 32, 10, 32, 3).transpose(0, 2, 1, 3, 4)    # (10, 10, 32, 32, 3)
    return tiles.reshape(100, 32, 32, 3), np.repeat(np.arange(10), 10)
