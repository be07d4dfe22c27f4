"""The images that a source names, one after another, however many there are: a folder, a zip, a list, a pattern.

An image is named by where it is, not held open: a name is small, and can be sent to another machine.
"""

import glob
import os
import stat
import zipfile
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..errors import ImageError, encodable
from ..images.files import ENDINGS, check_size, is_hidden, open_zip


class Place(NamedTuple):
    """Where an image is: a file, or a member of a zip. content: its bytes, where they travel with it."""

    path: str
    member: str | None = None
    content: bytes | None = None

    @property
    def name(self):
        """The path as a row has it: of a member, the zip's path and the member's name; bytes of no text escaped."""
        return encodable(self.path if self.member is None else f"{self.path}/{self.member}")

    def read(self):
        """The file's bytes. Raises ImageError."""
        if self.content is not None:
            return self.content
        try:
            if self.member is None:
                return _file(self.path)
            archive = _archive(self.path, os.stat(self.path).st_mtime_ns)
            check_size(archive.getinfo(self.member).file_size)
            return archive.read(self.member)
        except ImageError:
            raise
        except Exception as error:              # zipfile's and zlib's own errors, wrong passwords, lost files
            detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ImageError(f"{self.name} cannot be read: {detail}") from None


def places(source):
    """The Place of each image of a source, one by one. Raises ImageError where it names no image at all.

    source: a folder, with all folders in it, in the order of the names; a zip; a text file, .txt, with a path on each
    line; a pattern such as photos/**/*.jpg; or Python's own list of paths and Places. A folder or zip in a list stands
    for its images. Files that their ending does not call images are left out of folders and zips, and so is what
    begins with a dot; from a list or a pattern nothing else is.
    """
    found = _places(source)
    first = next(found, None)
    if first is None:
        raise ImageError(f"{_shown(source)} holds no image: expected files that end in {', '.join(sorted(ENDINGS))}")
    return chain([first], found)


def _places(source):
    if isinstance(source, Iterable) and not isinstance(source, (str, os.PathLike)):
        for path in source:
            if isinstance(path, Place):
                yield path
            elif isinstance(path, (str, os.PathLike)):
                yield from _of_line(os.fspath(path))
            else:
                raise ImageError(f"a list of images holds their paths, found {type(path).__name__}: "
                                 "minivit.forward takes pictures and arrays")
        return
    if source == "":
        raise ImageError("the source is empty: give the name of a folder or file")
    path = Path(source)
    if path.is_dir():
        yield from _of_folder(str(path))
    elif path.is_file():                        # asked before it is opened: a pipe would never end
        if zipfile.is_zipfile(path):
            yield from _of_zip(path)
        elif path.suffix.lower() == ".txt":
            yield from _of_list(path)
        else:
            yield Place(str(path))
    elif path.exists():
        raise ImageError(f"{path} is no plain file, folder or zip")
    elif glob.has_magic(str(path)):
        for name in sorted(glob.iglob(str(path), recursive=True)):
            if not os.path.isdir(name):
                yield Place(name)
    else:
        raise ImageError(f"no such file or folder: {path}")


def _of_line(path):
    """What a path in a list stands for: a file, whether it is there or not, or the images of a folder or zip."""
    if os.path.isdir(path):
        yield from _of_folder(path)
    elif path.lower().endswith(".zip") and os.path.isfile(path) and zipfile.is_zipfile(path):
        yield from _of_zip(path)
    else:
        yield Place(path)


def _of_folder(folder, above=frozenset()):
    """A folder's images and those of the folders in it, by name. A link back to a folder above is not followed."""
    about = os.stat(folder)
    above = above | {(about.st_dev, about.st_ino)}
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise ImageError(f"the folder {folder} cannot be read: {error.strerror}") from None
    for entry in entries:
        if is_hidden([entry.name]):
            continue
        try:
            is_folder, about = entry.is_dir(), entry.stat()
        except OSError:                         # a link in a circle, or to nothing: reading it says so, in its row
            is_folder = False
        if is_folder:
            if (about.st_dev, about.st_ino) not in above:
                yield from _of_folder(entry.path, above)
        elif Path(entry.name).suffix.lower() in ENDINGS:
            yield Place(entry.path)


def _of_zip(path):
    archive = _archive(str(path), os.stat(path).st_mtime_ns)
    for name in sorted({i.filename for i in archive.infolist() if not i.is_dir()}):         # the last of a name counts
        inside = PurePosixPath(name)
        if inside.suffix.lower() in ENDINGS and not is_hidden(inside.parts):
            yield Place(str(path), name)


def _of_list(path):
    """The paths of a text file, one on a line; those that are relative are so to its folder."""
    try:
        with open(path, encoding="utf-8-sig") as lines:
            for line in lines:
                if line.strip():
                    yield from _of_line(str(path.parent / line.rstrip("\r\n")))
    except UnicodeDecodeError:
        raise ImageError(f"{path} is no text in UTF-8: a list has a path on each line") from None


@lru_cache(maxsize=4)
def _archive(path, changed):
    """A zip, opened once by each process, and again once it has changed. Raises ImageError."""
    return open_zip(path)


if hasattr(os, "register_at_fork"):             # not on Windows, nor in a browser
    os.register_at_fork(after_in_child=_archive.cache_clear)     # parent and child have one place to read at in a file


def _file(path):
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise ImageError(f"{path} is no plain file")
    check_size(about.st_size)
    with open(path, "rb") as file:
        return file.read()


def _shown(source):
    return "the list" if isinstance(source, Iterable) and not isinstance(source, (str, os.PathLike)) else str(source)
