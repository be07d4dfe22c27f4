"""Images as the command line names them: a file, a folder of them, or - for standard input."""

import difflib
import os
import sys
from pathlib import Path

LONGEST_NAME = 255          # letters; a longer one is no typing error
HELP = "an image file, a folder of them, or - for standard input"


def images_of(arguments):
    """[(name, image)] of the arguments, a folder's images in the order of their names. Raises ImageError."""
    from ..errors import ImageError
    result = []
    for argument in arguments:
        if argument != "-" and os.path.isdir(argument):
            from ..images.files import ENDINGS, is_hidden
            inside = sorted(path for path in Path(argument).iterdir()
                            if path.suffix.lower() in ENDINGS and not is_hidden([path.name]))
            if not inside:
                raise ImageError(f"the folder {argument} holds no image file; folders in it are not looked into")
            result += [(str(path), str(path)) for path in inside]
        else:
            result.append((argument, argument))
    return result


def standard_input():
    """The bytes of standard input, as many as an image has at most and one more. Raises ImageError for none."""
    from ..errors import ImageError
    from ..images.limits import MOST_BYTES
    content = sys.stdin.buffer.read(MOST_BYTES + 1)
    if not content:
        raise ImageError("standard input is empty: give an image file's bytes")
    return content


def opened(argument):
    """What `minivit.forward` takes for one argument: a path, or standard input's image. Raises ImageError."""
    from ..errors import ImageError
    from ..images.decoding import rgb_from_bytes
    if argument == "-":
        return rgb_from_bytes(standard_input(), "standard input")
    if not isinstance(argument, str) or os.path.lexists(argument) or len(argument) > LONGEST_NAME:
        return argument
    beside = Path(argument).parent
    names = [path.name for path in beside.iterdir()] if beside.is_dir() else []
    near = difflib.get_close_matches(Path(argument).name, names, 1)
    raise ImageError(f"no such file: {argument}" + (f"; did you mean {beside / near[0]}?" if near else ""))
