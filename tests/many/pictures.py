"""Image files for the tests: thumbnails that differ, and some that cannot be read."""

import numpy as np
from PIL import Image


def make(folder, count, side=32, bad=()):
    """PNG files 00000.png to count - 1; those of `bad` hold no image. Returns their paths, in order."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:05d}.png" for i in range(count)]
    for i, path in enumerate(paths):
        if i in bad:
            path.write_bytes(b"" if i % 2 else b"no image")
        else:
            small = rng.integers(0, 256, (4, 4, 3), np.uint8)
            Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(path)
    return paths
