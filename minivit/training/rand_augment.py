"""RandAugment (Cubuk et al. 2019, arXiv 1909.13719, section 3): each image goes through N operations out of 14.

    image -> operation -> … -> operation        N of them, each drawn anew, all of the same magnitude M

Two numbers, N and M, take the place of a search for a policy. The ranges are AutoAugment's (arXiv 1805.09501), as
torchvision has them; M runs from 0 to 1, the whole range (the paper's M out of 10, torchvision's out of 30). Half of
the changes that have a sign are negative: turned the other way, darker instead of brighter. Pixels from outside the
image are grey.
"""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

GREY = (128, 128, 128)


def rand_augment(images, rng, operations, magnitude):
    """The images, each after its own `operations` operations of this magnitude, 0 to 1.

    images: uint8 (B, H, W, 3). Returns a new array of that shape.
    """
    B = len(images)
    chosen = rng.integers(0, len(OPERATIONS), (B, operations))
    strengths = np.where(rng.random((B, operations)) < 0.5, -magnitude, magnitude)
    changed = np.empty_like(images)
    for i in range(B):
        picture = Image.fromarray(images[i])
        for place, m in zip(chosen[i], strengths[i]):
            picture = _FUNCTIONS[place](picture, float(m))
        changed[i] = np.asarray(picture)
    return changed


def _affine(picture, *matrix):
    """Pixel (x, y) of the result is the picture's (a x + b y + c, d x + e y + f), the matrix being a, b, … f."""
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=GREY)


# Each takes a picture and m, -1 to 1.
OPERATIONS = {
    "identity": lambda picture, m: picture,
    "autocontrast": lambda picture, m: ImageOps.autocontrast(picture),
    "equalise": lambda picture, m: ImageOps.equalize(picture),
    "solarise": lambda picture, m: ImageOps.solarize(picture, 255 * (1 - abs(m))),       # inverts what is brighter
    "posterise": lambda picture, m: ImageOps.posterize(picture, 8 - round(4 * abs(m))),  # bits that are left
    "colour": lambda picture, m: ImageEnhance.Color(picture).enhance(1 + 0.9 * m),
    "contrast": lambda picture, m: ImageEnhance.Contrast(picture).enhance(1 + 0.9 * m),
    "brightness": lambda picture, m: ImageEnhance.Brightness(picture).enhance(1 + 0.9 * m),
    "sharpness": lambda picture, m: ImageEnhance.Sharpness(picture).enhance(1 + 0.9 * m),
    "rotate": lambda picture, m: picture.rotate(30 * m, Image.Resampling.BILINEAR, fillcolor=GREY),
    "shear x": lambda picture, m: _affine(picture, 1, 0.3 * m, 0, 0, 1, 0),
    "shear y": lambda picture, m: _affine(picture, 1, 0, 0, 0.3 * m, 1, 0),
    "translate x": lambda picture, m: _affine(picture, 1, 0, -int(150 / 331 * picture.width * m), 0, 1, 0),
    "translate y": lambda picture, m: _affine(picture, 1, 0, 0, 0, 1, -int(150 / 331 * picture.height * m)),
}
_FUNCTIONS = list(OPERATIONS.values())
