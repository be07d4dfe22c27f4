"""Images of any colour mode, and arrays, in 8-bit RGB.

Grey, palette, alpha and CMYK become RGB as Pillow's convert("RGB") makes them, so that results equal timm's. 16-bit
images are scaled to 8 bits first: Pillow's own conversion would clip them to white. The modes I (whole numbers of 32
bits) and F (floats) do not tell their range: values that 8 bits hold are read as Pillow reads them, larger ones of I as
16 bits, and those of F within [0, 1] as shares of white. Of some kinds of file mode I is always 16 bits.
"""

import numpy as np
from PIL import Image

from ..errors import ImageError
from .remarks import remarks

SIXTEEN_BITS = ("PNG", "PPM")       # kinds of file that have mode I for 16 bits alone: PNG in older versions of Pillow
BAND = 1 << 20              # pixels that are converted at a time, so that whole numbers of 8 bytes never fill memory


def to_rgb(picture, name):
    """A decoded PIL image in RGB, 8 bits a channel. Messages call it `name`. Raises ImageError."""
    if picture.width == 0 or picture.height == 0:
        raise ImageError(f"{name} has {picture.width} x {picture.height} pixels: it needs at least one")
    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I"):
        low, high = _extremes(picture)
        if low < 0 or high > 65535:
            raise ImageError(f"{name} is grey in whole numbers from {low} to {high}: "
                             "expected 8 or 16 bits, 0 to 65535; scale them first")
        scale = 1 if picture.mode == "I" and high <= 255 and picture.format not in SIXTEEN_BITS else 257
        return _grey(picture, lambda band: Image.fromarray(np.round(band / scale).astype(np.uint8))).convert("RGB")
    if picture.mode == "F":
        low, high = _extremes(picture)
        # Between 1 and 2 it may be a share of white that overshoots; from_array refuses that, and NaN.
        if low >= 0 and 2 <= high <= 255:
            return picture.convert("L").convert("RGB")
        return _grey(picture, from_array).convert("RGB")
    try:
        with remarks():                                     # that a transparent palette loses its transparency: meant
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


def from_array(array):
    """uint8 or float in [0, 1], (H, W), (H, W, 3) or (H, W, 4), as a PIL image. Raises ImageError."""
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
        raise ImageError(f"float pixels run from 0 to 1, found {array.min():.9g} to {array.max():.9g}: "
                         "divide 0-255 values by 255; undo any normalisation, or call the model on the array itself")
    return Image.fromarray(np.round(array * 255.0).astype(np.uint8))


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
