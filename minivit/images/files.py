"""Which files are images, by their names, and how large they may be, in folders and in zips."""

import zipfile

from ..errors import ImageError
from .limits import MOST_BYTES

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"}


def is_hidden(parts):
    """Whether a path of these parts is none of the user's own: it begins with a dot, or is what macOS adds to a zip."""
    return any(part.startswith((".", "__MACOSX")) for part in parts)


def check_size(size):
    """Raises ValueError for more bytes than an image has: a zip may claim any size, and unpack to it."""
    if size > MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes; an image has at most {MOST_BYTES:,}")


def open_zip(path):
    """A zipfile.ZipFile, which may be read from several threads. Raises ImageError."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:      # the last for unknown features
        raise ImageError(f"{path} is not a whole zip file: {error}") from None
