"""Any image -> the normalised array that the network reads.

Decoding and resizing are Pillow's. The steps are those of timm's and torchvision's evaluation transforms, to the bit:
RGB, resize, centre crop, divide by 255, subtract the mean, divide by the standard deviation, all in float32.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import ImageError

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
    """
    pictures = [fit(rgb(one), height_width, preprocessing) for one in members(image)]
    return normalise(np.stack([np.asarray(p) for p in pictures]), preprocessing)         # (B, H, W, 3)


def is_batch(image):
    """Whether `image` holds several: a list, a tuple or a 4-D array, even of length one."""
    return isinstance(image, (list, tuple)) or getattr(image, "ndim", None) == 4


def members(image):
    """The images of a batch, or the one image, as a list."""
    if not is_batch(image):
        return [image]
    if len(image) == 0:
        raise ImageError("an empty batch: give at least one image")
    if getattr(image, "ndim", None) == 4 and image.shape[-1] != 3:
        hint = ": move the colours last, image.transpose(0, 2, 3, 1)" if image.shape[1] == 3 else ""
        raise ImageError(f"a batch has the shape (B, height, width, 3), found {image.shape}{hint}")
    return list(image)


def rgb(image):
    """A path, PIL image or array as an upright PIL image in RGB."""
    if isinstance(image, (str, Path)):
        return _to_rgb(_open(Path(image)))
    if isinstance(image, Image.Image):
        return _to_rgb(_decoded(image, "the image"))
    if isinstance(image, np.ndarray):
        return _from_array(image).convert("RGB")
    raise ImageError(f"expected a path, a PIL image, a NumPy array or a list of these, found {type(image).__name__}"
                     + (": move it to the host first, with .get()" if hasattr(image, "get") else ""))


def fit(picture, height_width, preprocessing):
    """Resize an RGB image, and crop its centre, to height_width."""
    height, width = height_width
    resample = FILTERS[preprocessing.interpolation]
    if preprocessing.resize == "stretch":
        return picture.resize((width, height), resample)
    # The small constant keeps a fraction such as 224/242 from losing a pixel to rounding.
    cover_h, cover_w = (math.floor(side / preprocessing.crop_fraction + 1e-6) for side in (height, width))
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


def _open(path):
    if not path.exists():
        raise ImageError(f"no such file: {path}")
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image: give a file, or a list of files for a batch")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes)")
    try:
        with Image.open(path) as picture:
            return _decoded(picture, path)
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not an image that Pillow can read, whatever its name says") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path} would unpack to more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels: "
                         "scale it down first") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be opened: {error}") from None


def _decoded(picture, name):
    """The image with its pixels read, so that damage shows here, and turned upright as EXIF says."""
    try:
        picture.load()
        return ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"{name} is damaged or cut short: {error}") from None


def _to_rgb(picture):
    """Pillow's conversion to RGB, but 16-bit and float images are brought to 8 bits first: Pillow would clip them."""
    if picture.width == 0 or picture.height == 0:
        raise ImageError(f"an image of {picture.width} x {picture.height} pixels: it needs at least one")
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(f"16-bit grey values run from 0 to 65535, found {values.min()} to {values.max()}")
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        return _from_array(np.asarray(picture)).convert("RGB")
    return picture.convert("RGB")


def _from_array(array):
    """uint8 or float in [0, 1], (H, W), (H, W, 3) or (H, W, 4), as a PIL image."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (3, 4):
            hint = ": move the colours last, image.transpose(1, 2, 0)"
        elif array.ndim == 3 and array.shape[2] == 1:
            hint = ": drop the last axis of a grey image, image[..., 0]"
        raise ImageError("an image array has the shape (height, width), (height, width, 3) or (height, width, 4), "
                         f"found {array.shape}{hint}")
    if array.size == 0:
        raise ImageError(f"an image array of shape {array.shape} has no pixels")
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array))
    if array.dtype.kind != "f":
        raise ImageError(f"pixels are uint8, or floats in [0, 1], found {array.dtype}: convert them first")
    if not np.isfinite(array).all():
        count = np.count_nonzero(~np.isfinite(array))
        raise ImageError(f"the image array holds {count:,} values that are NaN or infinite: replace them first")
    if array.min() < 0 or array.max() > 1:
        raise ImageError(f"float pixels run from 0 to 1, found {array.min():.4g} to {array.max():.4g}: "
                         "divide 0-255 values by 255; undo any normalisation, or call the model on the array itself")
    return Image.fromarray(np.round(array * 255.0).astype(np.uint8))
