"""A path, a PIL image or an array -> an upright PIL image in RGB, 8 bits a channel. Decoding is Pillow's.

Grey, palette, alpha and CMYK become RGB as Pillow's convert("RGB") makes them, so that results equal timm's. 16-bit
images are scaled to 8 bits first: Pillow's own conversion would clip them to white. The modes I (whole numbers of 32
bits) and F (floats) do not tell their range: values that 8 bits hold are read as Pillow reads them, larger ones of I as
16 bits, and those of F within [0, 1] as shares of white.
"""

import io
import os
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ..errors import ImageError
from .foreign import advice
from .limits import MOST_BYTES, keep_within, open_within

ORIENTATION = 0x0112        # the EXIF tag; 1 is upright
BAND = 1 << 20              # pixels that are converted at a time, so that whole numbers of 8 bytes never fill memory


def rgb(image):
    """An upright RGB image of a path, a PIL image, or an array (H, W), (H, W, 3 or 4) of uint8 or floats in [0, 1].

    Raises ImageError.
    """
    if isinstance(image, (str, os.PathLike)):
        return _to_rgb(_open_path(Path(image)), image)
    if isinstance(image, Image.Image):
        return _to_rgb(_decoded(image, "the image"), "the image")
    if isinstance(image, np.ndarray):
        return _from_array(image).convert("RGB")
    raise ImageError(f"expected a path, a PIL image, a NumPy array or a list of these, found {type(image).__name__}"
                     f"{_hint_for_type(image)}")


def rgb_from_bytes(content, name):
    """An upright RGB image of an image file's bytes, that messages call `name`. Raises ImageError."""
    if len(content) == 0:
        raise ImageError(f"{name} is empty (0 bytes): give an image file")
    if len(content) > MOST_BYTES:
        raise ImageError(f"{name} has more than {MOST_BYTES:,} bytes, the most that an image has")
    return _to_rgb(_open(io.BytesIO(content), name), name)


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
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            # Pillow warns from half of its limit on; up to the limit an image is simply large.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_within(file) as picture:
                return _decoded(picture, name)
    except ImageError:
        raise
    except UnidentifiedImageError:
        missing = next((str(warning.message) for warning in told if "not installed" in str(warning.message)), None)
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
    """The image with its pixels read, so that damage shows here, and turned upright as EXIF says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                 # under -W error a remark of Pillow's would pass for damage
            if isinstance(picture, ImageFile.ImageFile):
                keep_within(picture, name)
            picture.load()
            upright = picture.getexif().get(ORIENTATION, 1) == 1
            return picture if upright else ImageOps.exif_transpose(picture)         # which copies, turned or not
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


def _to_rgb(picture, name):
    if picture.width == 0 or picture.height == 0:
        raise ImageError(f"{name} has {picture.width} x {picture.height} pixels: it needs at least one")
    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I"):
        low, high = _extremes(picture)
        if low < 0 or high > 65535:
            raise ImageError(f"{name} is grey in whole numbers from {low} to {high}: "
                             "expected 8 or 16 bits, 0 to 65535; scale them first")
        scale = 1 if picture.mode == "I" and high <= 255 else 257
        return _grey(picture, lambda band: Image.fromarray(np.round(band / scale).astype(np.uint8))).convert("RGB")
    if picture.mode == "F":
        low, high = _extremes(picture)
        # Between 1 and 2 it may be a share of white that overshoots; _from_array refuses that, and NaN.
        if low >= 0 and 2 <= high <= 255:
            return picture.convert("L").convert("RGB")
        return _grey(picture, _from_array).convert("RGB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)    # that a transparent palette loses its transparency: meant
            return picture.convert("RGB")
    except ValueError as error:
        raise ImageError(f"{name} has the colour mode {picture.mode}, which does not turn into RGB: {error}") from None


def _extremes(picture):
    """The smallest and the largest value of a grey image; NaN where there is one."""
    bands = [(band.min(), band.max()) for _, band in _bands(picture)]
    return np.min([low for low, _ in bands]), np.max([high for _, high in bands])


def _bands(picture):
    """(first row, array of the rows from there) of a grey image, some BAND pixels at a time."""
    rows = max(1, BAND // picture.width)
    for top in range(0, picture.height, rows):
        yield top, np.asarray(picture.crop((0, top, picture.width, min(top + rows, picture.height))))


def _grey(picture, of_band):
    """An image of 8-bit grey from a grey one of other numbers; of_band makes it from an array of rows."""
    grey = Image.new("L", picture.size)
    for top, band in _bands(picture):
        grey.paste(of_band(band), (0, top))
    return grey


def _from_array(array):
    """uint8 or float in [0, 1], (H, W), (H, W, 3) or (H, W, 4), as a PIL image."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ImageError("an image array has the shape (height, width), (height, width, 3) or (height, width, 4), "
                         f"found {array.shape}{_hint_for_shape(array.shape)}")
    if array.size == 0:
        raise ImageError(f"an image array of shape {array.shape} has no pixels: it needs at least one")
    if array.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(array))
    if array.dtype.kind != "f":
        raise ImageError(f"pixels are uint8, or floats in [0, 1], found {array.dtype}{_hint_for_dtype(array.dtype)}")
    if not np.isfinite(array).all():
        count = np.count_nonzero(~np.isfinite(array))
        raise ImageError(f"the image array holds {count:,} values that are NaN or infinite: replace them first")
    if array.min() < 0 or array.max() > 1:
        raise ImageError(f"float pixels run from 0 to 1, found {array.min():.4g} to {array.max():.4g}: "
                         "divide 0-255 values by 255; undo any normalisation, or call the model on the array itself")
    return Image.fromarray(np.round(array * 255.0).astype(np.uint8))


def _hint_for_type(image):
    if hasattr(image, "get") and hasattr(image, "ndim"):
        return ": images are given on the host, array.get(); model.to decides where the work happens"
    if hasattr(image, "numpy"):
        return ": give image.numpy(), with the colours in the last axis"
    if isinstance(image, (bytes, bytearray)):
        return ": open encoded bytes with PIL.Image.open(io.BytesIO(data))"
    return ""


def _hint_for_shape(shape):
    if len(shape) == 3 and shape[0] in (3, 4):
        return ": move the colours last, image.transpose(1, 2, 0)"
    if len(shape) == 3 and shape[2] == 1:
        return ": drop the last axis of a grey image, image[..., 0]"
    return ""


def _hint_for_dtype(dtype):
    if dtype == np.uint16:
        return ": divide 16-bit values by 65535.0"
    if dtype.kind in "iu":
        return ": if they run from 0 to 255, image.astype(np.uint8)"
    if dtype.kind == "b":
        return ": image.astype(float) makes black and white of it"
    return ": convert them first"
