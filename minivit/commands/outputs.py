"""What a command writes: checked before the work, never over its own input, whole or not at all."""

import argparse
import math
import os
import secrets
import sys
from pathlib import Path

from ..errors import encodable


def add_json(parser, what="the result"):
    """--json, alone or with a file's name."""
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE.json", type=_json_file,
                        help=f"write {what} as JSON: to FILE.json or, alone, to standard output instead of the table")


def _json_file(text):
    if text != "-" and not text.endswith(".json"):
        raise argparse.ArgumentTypeError(f"it writes FILE.json, or standard output, found {text!r}")
    return text


def separate_json(arguments):
    """The arguments with "--json=-" for a --json that what follows does not belong to: predict --json photo.jpg."""
    followed = [*arguments[1:], "-"]
    return ["--json=-" if argument == "--json" and not (after.endswith(".json") or after == "-") else argument
            for argument, after in zip(arguments, followed)]


def tell_json(options, content):
    """Write the content where --json says, if it does."""
    if options.json is None:
        return
    import json

    from ..checkpoints.atomic import replacing
    text = json.dumps(_json_ready(content), indent=2, ensure_ascii=False)
    if options.json == "-":
        exact_output()
        print(text)
        return
    with replacing(options.json) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def exact_output():
    """Standard output for programs to read: letters and ends of lines as they are, whatever a terminal would have."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", newline="")


def _json_ready(content):
    """The content with null for NaN and infinity, which JSON lacks, and texts that UTF-8 can hold."""
    if isinstance(content, dict):
        return {_json_ready(name): _json_ready(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_json_ready(value) for value in content]
    if isinstance(content, str):
        return encodable(content)
    return None if isinstance(content, float) and not math.isfinite(content) else content


def check_output(path, inputs=()):
    """Raises OSError or ValueError where a file cannot be written, or is one of the inputs by any name.

    inputs: paths of files, of folders of weights, or names of packaged models; None for what was not given.
    """
    from ..checkpoints.atomic import check_writable
    if path is None or path == "-":
        return
    for source in map(Path, filter(None, inputs)):
        for file in (source, *(source.iterdir() if source.is_dir() and (source / "config.json").exists() else ())):
            if os.path.exists(path) and file.exists() and os.path.samefile(path, file):
                raise ValueError(f"{path} is an input, {file}: give the output another name")
    check_writable(path)


def check_folder(path):
    """Raises OSError where a folder cannot be made, or be written to. Makes nothing."""
    from ..checkpoints.atomic import check_writable
    path = Path(path)
    place = next(parent for parent in (path, *path.absolute().parents) if os.path.lexists(parent))
    if not place.is_dir():
        raise NotADirectoryError(f"cannot write to {path}: {place} is no folder")
    check_writable(place / secrets.token_hex(8))         # no name that a folder there could have
