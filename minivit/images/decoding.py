"""A path, a PIL image or an array -> an upright PIL image in RGB, 8 bits a channel. Decoding is Pillow's."""

import io
import os
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ..errors import ImageError
from .colours import from_array, to_rgb
from .foreign import advice
from .limits import MOST_BYTES, keep_within, open_within
from .remarks import remarks

ORIENTATION = 0x0112        # the EXIF tag; 1 is upright


def rgb(image):
    """An upright RGB image of a path, a PIL image, or an array (H, W), (H, W, 3 or 4) of uint8 or floats in [0, 1].

    Raises ImageError.
    """
    if isinstance(image, (str, os.PathLike)):
        return to_rgb(_open_path(Path(image)), image)
    if isinstance(image, Image.Image):
        with remarks():
            return to_rgb(_decoded(image, "the image"), "the image")
    if isinstance(image, np.ndarray):
        return from_array(image).convert("RGB")
    raise ImageError(f"expected a path, a PIL image, a NumPy array or a list of these, found {type(image).__name__}"
                     f"{_hint_for_type(image)}")


def rgb_from_bytes(content, name):
    """An upright RGB image of an image file's bytes, that messages call `name`. Raises ImageError."""
    if len(content) == 0:
        raise ImageError(f"{name} is empty (0 bytes): give an image file")
    if len(content) > MOST_BYTES:
        raise ImageError(f"{name} has more than {MOST_BYTES:,} bytes, the most that an image has")
    return to_rgb(_open(io.BytesIO(content), name), name)


def _open_path(path):
    try:
        if not path.exists():
            raise ImageError(f"no such file: {path}")
        if path.is_dir():
            raise ImageError(f"{path} is a folder, not an image: give a file, or a list of files for a batch")
        if not path.is_file():
            raise ImageError(f"{path} is no plain file but a pipe, socket or device: give an image file")
        if path.stat().st_size == 0:
            raise ImageError(f"{path} is empty (0 bytes): give an image file")
        if path.stat().st_size > MOST_BYTES:
            raise ImageError(f"{path} has {path.stat().st_size:,} bytes; an image has at most {MOST_BYTES:,}")
    except OSError as error:
        raise ImageError(f"{str(path)[:100]} cannot be opened: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{str(path)!r} is no file's name: {error}") from None
    return _open(path, path)


def _open(file, name):
    try:
        with remarks() as told, open_within(file) as picture:
            return _decoded(picture, name)
    except ImageError:
        raise
    except UnidentifiedImageError:
        missing = next((text for text in told if "not installed" in text), None)
        if missing:
            raise ImageError(f"{name} cannot be read by the Pillow that is installed here: {missing}; "
                              "save the image as PNG") from None
        raise ImageError(f"{name} is not an image of a kind that is read, whatever its name says: "
                         f"{advice(file) or 'give a JPEG, PNG, WebP, GIF, BMP or TIFF file'}") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} would unpack to more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels: "
                         "scale it down first") from None
    except PermissionError as error:
        raise ImageError(f"{name} cannot be opened: {error.strerror}") from None
    except Exception as error:
        raise _damaged(name, error) from None


def _decoded(picture, name):
    """The image with its pixels read, so that damage shows here, and turned upright as EXIF says.

    Called inside `remarks`: under -W error one of Pillow's would pass for damage.
    """
    try:
        if isinstance(picture, ImageFile.ImageFile):
            keep_within(picture, name)
        # Before its pixels: Pillow 10.0 has closed a TIFF of several frames after them.
        upright = picture.getexif().get(ORIENTATION, 1) == 1
        picture.load()
        return picture if upright else ImageOps.exif_transpose(picture)             # which copies, turned or not
    except ImageError:
        raise
    except Exception as error:
        raise _damaged(name, error) from None


def _damaged(name, error):
    """Pillow's readers raise errors of a dozen kinds, struct.error and IndexError among them, for a damaged file."""
    detail = " ".join(str(error).split()) or type(error).__name__
    if re.fullmatch(r"decoder \w+ not available", detail):              # Pillow was built without the format's library
        return ImageError(f"{name} cannot be read by the Pillow that is installed here: {detail}; "
                          "save the image as PNG")
    return ImageError(f"{name} is damaged or cut short: {detail}; get a whole copy of it")


def _hint_for_type(image):
    if hasattr(image, "get") and hasattr(image, "ndim"):
        return ": images are given on the host, array.get(); model.to decides where the work happens"
    if hasattr(image, "numpy"):
        return ": give image.numpy(), with the colours in the last axis"
    if isinstance(image, (bytes, bytearray)):
        return ": open encoded bytes with PIL.Image.open(io.BytesIO(data))"
    return ""
