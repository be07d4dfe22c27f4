"""The files in a folder, zip or tar, those of one split wanted: {name: function that returns the file's bytes}.

In a folder links to classes and to images are followed; in a tar those to files inside it alone.
"""

import os
import posixpath
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from ..engine import memory
from ..errors import ImageError
from ..images.files import ENDINGS, check_size, is_hidden, open_zip

MOST_LINKS = 40             # from one to the next, as Linux has it: those that go in a circle would never end


def openers(source, split):
    """{name: function that returns the file's bytes} of a folder, zip or tar. Raises ImageError.

    All images of the split are among them, and the names of what else the source holds.
    """
    if zipfile.is_zipfile(source):
        return _zip_members(source)
    if source.is_file() and tarfile.is_tarfile(source):
        return _tar_members(source, split)
    return _folder_members(source, split)


def names_in(source):
    """The files' names in a zip or tar, none of anything else."""
    if source.is_file() and zipfile.is_zipfile(source):
        return list(_zip_members(source))
    if source.is_file() and tarfile.is_tarfile(source):
        with tarfile.open(source) as archive:
            return [member.name for member in archive if member.isfile()]
    return []


def label_of(name, split):
    """The class of an image of the split; None for any other file."""
    inside = _inside(name, split)
    return inside[0] if len(inside) >= 2 and PurePosixPath(name).suffix.lower() in ENDINGS else None


def _inside(name, split):
    """The parts of a name below the split; () for what lies elsewhere or is hidden."""
    path = PurePosixPath(name)
    parts = path.relative_to(split).parts if path.is_relative_to(split) else ()
    return () if is_hidden(parts) else parts


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
            if label_of(name, split) is not None:
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
        raise ImageError(f"{source} is neither a folder nor a .zip or .tar, nor CIFAR-10's binary version: "
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
