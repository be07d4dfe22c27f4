"""Reading one value of a JSON configuration: its type and range are checked before anything uses it.

Each function takes the configuration, a key, and where that stands, for the message. A missing key, or null, is the
default. All raise CheckpointError.
"""

import sys

from ..config import LARGEST_SIDE
from ..errors import CheckpointError
from ..ranges import shown

LARGEST_COUNT = 1 << 20


def whole(about, key, where, default=None, largest=LARGEST_COUNT):
    """A whole number from 1 to `largest`."""
    value = about.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise _wrong(where, key, value, f"a whole number from 1 to {largest:,}")
    return value


def number(about, key, where, default=None, smallest=1e-30, largest=1e30):
    """A number from `smallest` to `largest`."""
    value = about.get(key)
    if value is None:
        return default
    if not _is_number(value) or not smallest <= value <= largest:
        raise _wrong(where, key, value, f"a number from {smallest:g} to {largest:g}")
    return float(value)


def truth(about, key, where, default=None):
    """True or False."""
    value = about.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _wrong(where, key, value, "true or false")
    return value


def text(about, key, where, default=None):
    """A text."""
    value = about.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise _wrong(where, key, value, "a text")
    return value


def sides(about, key, where, default=None):
    """Pixels: one whole number, or (height, width) of a list of two."""
    value = about.get(key)
    if value is None:
        return default
    pair = [value, value] if isinstance(value, int) else value
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise _wrong(where, key, value, "pixels, one number or [height, width]")
    height, width = (whole({key: side}, key, where, largest=LARGEST_SIDE) for side in pair)
    if height is None or width is None:
        raise _wrong(where, key, value, "pixels, one number or [height, width]")
    return height if height == width else (height, width)


def colours(about, key, where, default=None):
    """A number for each of R, G and B, or one for all."""
    value = about.get(key)
    if value is None:
        return default
    three = [value] * 3 if _is_number(value) else value
    if not isinstance(three, (list, tuple)) or len(three) != 3 or not all(map(_is_number, three)):
        raise _wrong(where, key, value, "a number for each of R, G, B, or one for all")
    return tuple(float(v) for v in three)


def table(about, key, where):
    """A JSON object, empty where there is none."""
    value = about.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(where, key, value, "a JSON object")
    return value


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _wrong(where, key, value, expected):
    return CheckpointError(f"{where}: {key} is {shown(value)}, expected {expected}")
