"""Any image -> the normalised array that the network reads.

The steps are those of timm's and torchvision's evaluation transforms, to the bit: RGB (`decoding.py`), Pillow's resize,
centre crop, divide by 255, subtract the mean, divide by the standard deviation, the last three in float32.
"""

import math
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..ranges import real, shown
from .decoding import rgb

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC,
           "lanczos": Image.Resampling.LANCZOS, "nearest": Image.Resampling.NEAREST,
           "box": Image.Resampling.BOX, "hamming": Image.Resampling.HAMMING}
RESIZES = ("crop", "stretch", "stretch_crop", "none")


MEANS, STDS = (-1e4, 1e4), (1e-4, 1e4)
NARROWEST = 100             # how many times wider, or higher, than the model's an image's shape may be
MOST_RESIZED = 50_000_000   # pixels, which take 200 MB


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become numbers. mean and std: of R, G, B, where 1 is white.

    resize: "crop" scales the image until it covers size / crop_fraction, then takes the centre; "stretch" scales both
    sides to the size, whatever the shape; "stretch_crop" scales both sides to size / crop_fraction, then takes the
    centre; "none" reads images that have the size already. interpolation: one of FILTERS, Pillow's filters.
    crop_offset: where the centre falls between two pixels, "round" goes to the even one, as torchvision and timm do,
    "floor" up and left, as transformers does.
    """

    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    resize: str = "crop"
    crop_fraction: float = 0.9
    interpolation: str = "bicubic"
    crop_offset: str = "round"

    def __post_init__(self):
        for name in ("mean", "std"):
            value = getattr(self, name)
            if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 3:
                raise ValueError(f"{name} has one number for each of R, G, B, found {shown(value)}")
            low, high = MEANS if name == "mean" else STDS
            object.__setattr__(self, name, tuple(real(f"{name} of {c}", v, low, high) for c, v in zip("RGB", value)))
        if self.resize not in RESIZES:
            raise ValueError(f"resize is one of {', '.join(RESIZES)}, found {shown(self.resize)}")
        object.__setattr__(self, "crop_fraction", real("crop_fraction", self.crop_fraction, 0.01, 1))
        if self.interpolation not in FILTERS:
            raise ValueError(f"interpolation is one of {', '.join(FILTERS)}, found {shown(self.interpolation)}")
        if self.crop_offset not in ("round", "floor"):
            raise ValueError(f'crop_offset is "round" or "floor", found {shown(self.crop_offset)}')


def prepare(image, height_width, preprocessing):
    """One image or a batch of them as normalised float32 (B, H, W, 3). Raises ImageError.

    image: a path, a PIL image, an array (H, W), (H, W, 3 or 4) or (B, H, W, 3), uint8 or float in [0, 1], or a list.
    Arrays of floats are rounded to 8 bits, as every image file is.
    """
    pixels = []
    for i, one in enumerate(members(image)):
        try:
            pixels.append(np.asarray(_fitted(one, height_width, preprocessing)))
        except ImageError as error:
            raise ImageError(f"image {i} of the batch: {error}" if is_batch(image) else str(error)) from None
    return normalise(np.stack(pixels), preprocessing)                                    # (B, H, W, 3)


def _fitted(image, height_width, preprocessing):
    """One image as an RGB picture of the model's size. Raises ImageError, which names the file where there is one."""
    picture = rgb(image)
    try:
        return fit(picture, height_width, preprocessing)
    except ImageError as error:
        raise ImageError(f"{image}: {error}" if isinstance(image, (str, os.PathLike)) else str(error)) from None


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
    w, h = picture.size
    if max(w * height, h * width) > NARROWEST * min(w * height, h * width):
        raise ImageError(f"an image of {w:,} x {h:,} pixels is too narrow to be made "
                         f"{width:,} x {height:,}: crop it first")
    resample = FILTERS[preprocessing.interpolation]
    if preprocessing.resize == "none":
        if picture.size != (width, height):
            raise ImageError(f"the model reads images of {width} x {height} pixels as they are, found "
                             f"{picture.width} x {picture.height}: resize the image first")
        return picture
    if preprocessing.resize == "stretch":
        return _resized(picture, (width, height), resample)
    cover_h, cover_w = (math.floor(side / preprocessing.crop_fraction) for side in (height, width))
    new_w, new_h = cover_w, cover_h
    if preprocessing.resize == "crop":
        new_w, new_h = _covering(picture, cover_h, cover_w)
    if new_w * new_h > MOST_RESIZED:
        raise ImageError(f"an image of {w:,} x {h:,} pixels would be scaled to {new_w:,} x {new_h:,} before it is cut "
                         f"to {width:,} x {height:,}, and at most {MOST_RESIZED:,} pixels are: crop it first")
    picture = _resized(picture, (new_w, new_h), resample)
    whole = round if preprocessing.crop_offset == "round" else math.floor
    left, top = whole((new_w - width) / 2), whole((new_h - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def _resized(picture, size, resample):
    return picture if picture.size == size else picture.resize(size, resample)          # which else copies it


def _covering(picture, cover_h, cover_w):
    """(width, height) of the picture scaled until it just covers cover_h x cover_w."""
    w, h = picture.size
    if cover_h == cover_w:
        short = cover_h
        return (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    ratio = min(h / cover_h, w / cover_w)
    return round(w / ratio), round(h / ratio)


def fraction_of(size, covered):
    """The crop_fraction with which `fit` scales to `covered` pixels before it takes the centre of `size`."""
    fraction = size / covered
    while math.floor(size / fraction) < covered:         # the quotient of the quotient may fall short by one rounding
        fraction = math.nextafter(fraction, 0)
    return fraction


def normalise(pixels, preprocessing):
    """uint8 (..., W, 3) -> float32: (pixels / 255 - mean) / std."""
    x = pixels.reshape(*pixels.shape[:-2], -1).astype(np.float32)       # whole rows, not three numbers, at a time
    mean, std = (np.tile(np.asarray(a, np.float32, like=x), pixels.shape[-2])               # (3W,)
                 for a in (preprocessing.mean, preprocessing.std))
    x /= np.float32(255)
    x -= mean
    x /= std
    return x.reshape(pixels.shape)


def denormalise(x, preprocessing):
    """The inverse of `normalise`, for pictures: floats in [0, 1]."""
    return np.clip(x * np.asarray(preprocessing.std) + np.asarray(preprocessing.mean), 0, 1)
