"""Make rand_augment.npz: torchvision's RandAugment operations on a small picture, at four magnitudes and both signs.

Needs torch and torchvision: python tests/reference/make_rand_augment.py
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

# The wheel of the CPU build lacks two operators that it asks for when imported.
library = torch.library.Library("torchvision", "FRAGMENT")
for operator in ("nms", "qnms"):
    library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision.transforms import InterpolationMode, autoaugment  # noqa: E402

NAMES = {"identity": "Identity", "autocontrast": "AutoContrast", "equalise": "Equalize", "solarise": "Solarize",
         "posterise": "Posterize", "colour": "Color", "contrast": "Contrast", "brightness": "Brightness",
         "sharpness": "Sharpness", "rotate": "Rotate", "shear x": "ShearX", "shear y": "ShearY",
         "translate x": "TranslateX", "translate y": "TranslateY"}
BINS = (3, 9, 21, 30)                                   # of 31, the last being the whole range
H, W = 18, 24                                           # Pillow's equalize leaves pictures of few pixels alone


def main():
    """Write the picture, the magnitudes m, and {operation: (m, H, W, 3)}."""
    rng = np.random.default_rng(0)
    slope = np.linspace(30, 220, W)[None, :, None] + np.linspace(-25, 25, H)[:, None, None] * np.array([1, -1, 0.5])
    picture = (slope + rng.integers(-25, 25, (H, W, 3))).clip(10, 240).astype(np.uint8)
    space = autoaugment.RandAugment()._augmentation_space(31, (H, W))
    arrays = {"picture": picture, "magnitudes": np.array([sign * b / 30 for b in BINS for sign in (1, -1)])}
    for ours, theirs in NAMES.items():
        values, signed = space[theirs]
        results = []
        for b in BINS:
            for sign in (1, -1):
                value = float(values[b]) * (sign if signed else 1) if values.ndim else 0.0
                results.append(np.asarray(autoaugment._apply_op(
                    Image.fromarray(picture), theirs, value, InterpolationMode.BILINEAR, [128, 128, 128])))
        arrays[ours] = np.array(results)
    np.savez_compressed(Path(__file__).parent / "rand_augment.npz", **arrays)


if __name__ == "__main__":
    main()
