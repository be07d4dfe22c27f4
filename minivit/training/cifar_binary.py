"""CIFAR-10's original binary version: cifar-10-binary.tar.gz, or the folder in it.

A record is 3073 bytes: the label, then 1024 bytes of red, of green and of blue, row by row (Krizhevsky 2009).
"""

import lzma
import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import ImageError

SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE
MOST_BYTES = 400_000_000            # of all files together; CIFAR-10 itself has 184,380,000
DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError)
FILES = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def recognises(source):
    """Whether a path is CIFAR-10's binary version: a folder with its files, or a .tar.gz."""
    source = Path(source)
    if source.is_dir():
        return any((source / name).exists() for names in FILES.values() for name in names)
    return source.is_file() and tarfile.is_tarfile(source) and _names_one(source)


def _names_one(source):
    """Whether a .tar holds one of the files; a damaged one counts too, so that `read` says what is wrong with it."""
    wanted = {name for names in FILES.values() for name in names}
    try:
        with tarfile.open(source) as archive:
            return any(PurePosixPath(member.name).name in wanted for member in archive)
    except DAMAGED:
        return True


def read(source, split):
    """(images uint8 (n, 32, 32, 3), labels (n,), classes, names) of the split "train" or "test". Raises ImageError."""
    if split not in FILES:
        raise ImageError(f"CIFAR-10's binary version has the splits train and test, found {split!r}: "
                         "name one with --split")
    contents = _contents(Path(source), FILES[split])
    if not contents:
        raise ImageError(f"{source} holds none of {', '.join(FILES[split])}: "
                         "expected CIFAR-10's binary version, cifar-10-binary.tar.gz")
    images, labels, names = [], [], []
    for file, content in contents.items():
        if len(content) == 0 or len(content) % RECORD:
            raise ImageError(f"{file} in {source} has {len(content):,} bytes: expected records of {RECORD:,} bytes; "
                             "get a whole copy of it")
        records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
        if records[:, 0].max() >= len(CLASSES):
            raise ImageError(f"{file} in {source} has the label {records[:, 0].max()}: expected 0 to 9")
        labels.append(records[:, 0].astype(np.int64))
        images.append(records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1))
        names += [f"{file}/{i:05}" for i in range(len(records))]
    return np.ascontiguousarray(np.concatenate(images)), np.concatenate(labels), list(CLASSES), names


def _contents(source, wanted):
    """{file name: bytes} of those of the wanted files that are there."""
    if source.is_dir():
        files = [source / name for name in wanted if (source / name).is_file()]
        _check_sizes(source, [file.stat().st_size for file in files])
        return {file.name: file.read_bytes() for file in files}
    try:
        with tarfile.open(source) as archive:
            members, sizes = {}, []
            for member in archive:                      # each is unpacked when it is passed over
                sizes.append(member.size)
                _check_sizes(source, sizes)
                if member.isfile():
                    members[PurePosixPath(member.name).name] = member
            return {name: archive.extractfile(members[name]).read() for name in wanted if name in members}
    except DAMAGED as error:
        raise ImageError(f"{source} is not a whole .tar.gz: {error}; get a whole copy of it") from None


def _check_sizes(source, sizes):
    """Raises ImageError where files hold far more than CIFAR-10: an archive of few bytes may unpack to any number."""
    if sum(sizes) > MOST_BYTES:
        raise ImageError(f"{source} holds more than {MOST_BYTES:,} bytes, which is not CIFAR-10's binary version: "
                         "give other images as <split>/<class>/<image>")
