"""Labelled images, all in memory: from a folder, zip or tar in ImageFolder layout, or CIFAR-10's original binary files.

ImageFolder layout is <split>/<class>/<any name>.jpg; folders inside a class belong to it. In a folder links to classes
and to images are followed; in a tar those to files inside it alone.
"""

import os
import posixpath
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from ..engine import memory
from ..errors import ImageError, plain
from ..images.decoding import rgb, rgb_from_bytes
from ..images.files import ENDINGS, check_size, is_hidden, open_zip
from ..images.preparation import Preprocessing, fit
from . import cifar_binary

SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
MOST_LINKS = 40             # from one to the next, as Linux has it: those that go in a circle would never end


@dataclass
class LabelledImages:
    """images: uint8 (n, H, W, 3); labels: (n,); classes: their names; names: each image's path inside the source."""

    images: np.ndarray
    labels: np.ndarray
    classes: list
    names: list

    def __len__(self):
        return len(self.images)

    def subset(self, chosen):
        """The images at these places."""
        return LabelledImages(self.images[chosen], self.labels[chosen], self.classes, [self.names[i] for i in chosen])


def read_labelled_images(source, split, height_width, preprocessing=None):
    """All images of a split, fitted to the model's size, in memory. Raises ImageError.

    source: a folder, a .zip, a .tar, or CIFAR-10's binary version; split: the folder inside it whose folders are the
    classes, or "" for source itself. The images are in the order of their names, the classes too.
    """
    source = Path(source)
    if not source.exists():
        raise ImageError(f"no such file or folder: {source}")
    if not source.is_dir() and not source.is_file():
        raise ImageError(f"{source} is no plain file but a pipe, socket or device: give a folder or a .zip of images")
    preprocessing = preprocessing or Preprocessing()
    if cifar_binary.recognises(source):
        pixels, labels, classes, names = cifar_binary.read(source, split)
        return LabelledImages(_fitted(pixels, names, source, height_width, preprocessing), labels, classes, names)
    openers = _openers(source, split)
    labels = _labels(openers, source, split)                                     # {name: class}
    classes, names = sorted(set(labels.values())), sorted(labels)
    images = _fitted((_decoded(openers[name], name, source) for name in names), names, source, height_width,
                     preprocessing)
    return LabelledImages(images, np.array([classes.index(labels[name]) for name in names]), classes, names)


def test_part(source):
    """The split to measure on where none is named: "test" where the source has such a part, "" for all of it."""
    source = Path(source)
    if cifar_binary.recognises(source):
        return "test"
    if source.is_dir():
        tops = {path.name for path in source.iterdir() if path.is_dir()}
    elif source.is_file() and zipfile.is_zipfile(source):
        tops = {PurePosixPath(name).parts[0] for name in _zip_members(source) if len(PurePosixPath(name).parts) > 1}
    else:
        tops = set()
    tops = {top for top in tops if not top.startswith((".", "__MACOSX"))}
    return next((name for name in ("test", "testing") if name in tops and tops <= SPLITS), "")


def _fitted(pictures, names, source, height_width, preprocessing):
    """Pictures as uint8 (n, H, W, 3)."""
    memory.check_fits(len(names) * height_width[0] * height_width[1] * 3, f"{len(names):,} images")
    images = np.empty((len(names), *height_width, 3), np.uint8)
    for i, picture in enumerate(tqdm(pictures, total=len(names), desc=f"reading {plain(source.name)}", unit=" images",
                                     mininterval=1)):
        try:
            images[i] = fit(rgb(picture), height_width, preprocessing)
        except ImageError as error:
            raise ImageError(f"{names[i]} in {source}: {error}") from None
    return images


def _decoded(opener, name, source):
    try:
        return rgb_from_bytes(opener(), f"{name} in {source}")
    except ImageError:
        raise
    except Exception as error:                      # zipfile's and zlib's own errors, wrong passwords, lost files
        raise ImageError(f"{name} in {source} cannot be read: {error}") from None


def _labels(names, source, split):
    """{name: class} of the images of a split. Raises ImageError where there are not two classes."""
    labels = {name: label for name in names if (label := _label(name, split)) is not None}
    classes = sorted(set(labels.values()))
    if len(classes) < 2:
        tops = sorted({PurePosixPath(name).parts[0] for name in names})
        place = f"under {split!r}" if split else "at its top"
        raise ImageError(f"{source} has {len(labels)} images in {len(classes)} classes {place}: "
                         "expected <split>/<class>/<image> with at least two classes; "
                         f"it holds {', '.join(tops[:5]) or 'nothing'}{' …' if len(tops) > 5 else ''}")
    if not split and set(classes) <= SPLITS:
        raise ImageError(f"the folders in {source} are splits, not classes: {', '.join(classes)}; "
                         f"name one, such as --split {classes[-1]}")
    return labels


def _label(name, split):
    """The class of an image of the split; None for any other file."""
    inside = _inside(name, split)
    return inside[0] if len(inside) >= 2 and PurePosixPath(name).suffix.lower() in ENDINGS else None


def _inside(name, split):
    """The parts of a name below the split; () for what lies elsewhere or is hidden."""
    path = PurePosixPath(name)
    parts = path.relative_to(split).parts if path.is_relative_to(split) else ()
    return () if is_hidden(parts) else parts


def _openers(source, split):
    """{name: function that returns the file's bytes} of a folder, zip or tar. Raises ImageError.

    All images of the split are among them, and the names of what else the source holds.
    """
    if zipfile.is_zipfile(source):
        return _zip_members(source)
    if source.is_file() and tarfile.is_tarfile(source):
        return _tar_members(source, split)
    return _folder_members(source, split)


def _tar_members(source, split):
    """{name: function that returns the file's bytes} of a tar, which links never leave.

    The split's images are all in memory: out of a compressed tar they can only be read in its own order.
    """
    with tarfile.open(source) as archive:
        members = {}
        for member in archive:              # a hard link is one more name of a file that stands before it
            target = members.get(posixpath.normpath(member.linkname), member) if member.islnk() else member
            members[str(PurePosixPath(member.name))] = target
        files = {name: _followed(name, members) for name, member in members.items()
                 if member.isfile() or member.islnk() or member.issym()}
        wanted = {}                         # {file: a name of it}
        for name, file in files.items():
            if file is None and _inside(name, split):
                raise ImageError(f"{name} in {source} is a link to no file in it: "
                                 "pack what it leads to in its place, with tar -h")
            if _label(name, split) is not None:
                wanted[file] = name
        for file, name in wanted.items():
            try:
                check_size(file.size)
            except ValueError as error:
                raise ImageError(f"{name} in {source} cannot be read: {error}") from None
        memory.check_fits(sum(file.size for file in wanted), f"the {len(wanted):,} image files in {source}")
        contents = {file: archive.extractfile(file).read() for file in sorted(wanted, key=lambda file: file.offset)}
    return {name: lambda file=file: contents[file] for name, file in files.items()}


def _followed(name, members):
    """The plain file that a tar's member is, or that its symbolic link leads to inside the tar; None for no such."""
    for _ in range(MOST_LINKS):
        member = members.get(name)
        if member is None or not member.issym():
            return member if member is not None and member.isfile() else None
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
    return None


def _zip_members(source):
    """{name: function that returns the file's bytes} of a zip."""
    archive = open_zip(source)

    def read(member):
        check_size(member.file_size)
        return archive.read(member)

    return {i.filename: lambda i=i: read(i) for i in archive.infolist() if not i.is_dir()}


def _folder_members(source, split):
    """{name: function that returns the file's bytes} of a folder."""
    if not source.is_dir():
        raise ImageError(f"{source} is neither a folder nor a zip or tar file, nor CIFAR-10's binary version: "
                         "give images as <split>/<class>/<image>")

    def read(path):
        check_size(path.stat().st_size)
        return path.read_bytes()

    return {name: lambda path=path: read(path) for name, path in _files(source, source, split)}


def _files(folder, source, split, inside="", above=frozenset()):
    """(name, path) of each file of the split, and of what else the source holds, whose folders are not looked into.

    Links are followed, but not back to a folder above. Raises ImageError for what would be missing without a word: a
    link that leads nowhere, a folder that cannot be read.
    """
    try:
        about, entries = os.stat(folder), list(os.scandir(folder))
    except OSError as error:
        raise ImageError(f"the folder {folder} cannot be read: {error.strerror}") from None
    here = (about.st_dev, about.st_ino)
    if here in above:
        return
    for entry in entries:
        name = f"{inside}{entry.name}"
        if not _inside(name, split) and not PurePosixPath(split).is_relative_to(name):
            yield name, Path(entry.path)
        elif entry.is_symlink() and not os.path.exists(entry.path):
            raise ImageError(f"{name} in {source} is a link that leads nowhere: mend or remove it")
        elif entry.is_dir():
            yield from _files(entry.path, source, split, f"{name}/", above | {here})
        elif entry.is_file():
            yield name, Path(entry.path)
