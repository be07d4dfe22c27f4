"""Any image -> the normalised array that the network reads.

The steps are those of timm's and torchvision's evaluation transforms, to the bit: RGB (`decoding.py`), Pillow's resize,
centre crop, divide by 255, subtract the mean, divide by the standard deviation, the last three in float32.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import ImageError
from .decoding import rgb

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC,
           "lanczos": Image.Resampling.LANCZOS, "nearest": Image.Resampling.NEAREST}


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become numbers. mean and std: of R, G, B, where 1 is white.

    resize: "crop" scales the image until it covers size / crop_fraction, then takes the centre; "stretch" scales both
    sides to the size, whatever the shape. interpolation: bilinear, bicubic, lanczos or nearest.
    """

    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    resize: str = "crop"
    crop_fraction: float = 0.9
    interpolation: str = "bicubic"

    def __post_init__(self):
        for name in ("mean", "std"):
            value = tuple(float(v) for v in getattr(self, name))
            if len(value) != 3 or not all(math.isfinite(v) for v in value):
                raise ValueError(f"{name} has one number for each of R, G, B, found {getattr(self, name)!r}")
            object.__setattr__(self, name, value)
        if min(self.std) <= 0:
            raise ValueError(f"std is positive, found {self.std!r}")
        if self.resize not in ("crop", "stretch"):
            raise ValueError(f'resize is "crop" or "stretch", found {self.resize!r}')
        if not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction is above 0 and at most 1, found {self.crop_fraction!r}")
        if self.interpolation not in FILTERS:
            raise ValueError(f"interpolation is one of {', '.join(FILTERS)}, found {self.interpolation!r}")


def prepare(image, height_width, preprocessing):
    """One image or a batch of them as normalised float32 (B, H, W, 3). Raises ImageError.

    image: a path, a PIL image, an array (H, W), (H, W, 3 or 4) or (B, H, W, 3), uint8 or float in [0, 1], or a list.
    Arrays of floats are rounded to 8 bits, as every image file is.
    """
    pixels = []
    for i, one in enumerate(members(image)):
        try:
            pixels.append(np.asarray(fit(rgb(one), height_width, preprocessing)))
        except ImageError as error:
            raise ImageError(f"image {i} of the batch: {error}" if is_batch(image) else str(error)) from None
    return normalise(np.stack(pixels), preprocessing)                                    # (B, H, W, 3)


def is_batch(image):
    """Whether `image` holds several: a list, a tuple or a 4-D array, even of length one."""
    return isinstance(image, (list, tuple)) or (isinstance(image, np.ndarray) and image.ndim == 4)


def members(image):
    """The images of a batch, or the one image, as a list. Raises ImageError for an empty or mis-shaped batch."""
    if not is_batch(image):
        return [image]
    if len(image) == 0:
        raise ImageError("an empty batch: give at least one image")
    if isinstance(image, np.ndarray) and image.shape[-1] != 3:
        hint = ": move the colours last, image.transpose(0, 2, 3, 1)" if image.shape[1] == 3 else ""
        raise ImageError(f"a batch has the shape (B, height, width, 3), found {image.shape}{hint}")
    return list(image)


def fit(picture, height_width, preprocessing):
    """Resize an RGB image, and crop its centre, to height_width. Raises ImageError for one that is a mere line.

    The rounding is torchvision's for square sizes and timm's for others.
    """
    height, width = height_width
    resample = FILTERS[preprocessing.interpolation]
    if preprocessing.resize == "stretch":
        return picture.resize((width, height), resample)
    cover_h, cover_w = (math.floor(side / preprocessing.crop_fraction) for side in (height, width))
    w, h = picture.size
    if cover_h == cover_w:
        short = cover_h
        new_w, new_h = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    else:
        ratio = min(h / cover_h, w / cover_w)
        new_w, new_h = round(w / ratio), round(h / ratio)
    if max(new_w, new_h) > 100 * max(cover_h, cover_w):
        raise ImageError(f"an image of {w} x {h} pixels is too narrow to be cut to {width} x {height}: crop it first")
    picture = picture.resize((new_w, new_h), resample)
    left, top = round((new_w - width) / 2), round((new_h - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def normalise(pixels, preprocessing):
    """uint8 (..., 3) -> float32: (pixels / 255 - mean) / std."""
    x = pixels.astype(np.float32)
    x /= np.float32(255)
    x -= np.asarray(preprocessing.mean, np.float32)
    x /= np.asarray(preprocessing.std, np.float32)
    return x


def denormalise(x, preprocessing):
    """The inverse of `normalise`, for pictures: floats in [0, 1]."""
    return np.clip(x * np.asarray(preprocessing.std) + np.asarray(preprocessing.mean), 0, 1)
