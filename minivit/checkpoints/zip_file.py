"""Zip files from strangers: what .npz and .pth files are. Looked over before anything is unpacked.

A zip bomb is a small file whose members unpack to far more than it weighs. Float weights hardly compress, so a file
that claims to unpack to many times its size is refused, and so is a directory of more members than a model has tensors.
"""

import os
import struct
import zipfile

from ..errors import CheckpointError

MAGIC = b"PK\x03\x04"
LARGEST_DIRECTORY = 4 << 20
SMALL = 64 << 20
LARGEST_RATIO = 4
END, END64, LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"


def open_zip(path):
    """The zipfile.ZipFile at path. Raises CheckpointError for a bomb, zipfile.BadZipFile for damage."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        directory = _directory_size(file, size)
    if directory > LARGEST_DIRECTORY:
        raise CheckpointError(f"{path} has a zip directory of {directory:,} bytes: far too many members for a ViT")
    archive = zipfile.ZipFile(path)
    before = min((member.header_offset for member in archive.infolist()), default=0)
    if before:
        raise CheckpointError(f"{path} begins with {before:,} bytes that are no part of its zip: it is another kind of "
                              "file with a zip behind it")
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > SMALL and unpacked > LARGEST_RATIO * size:
        raise CheckpointError(f"{path} would unpack to {unpacked:,} bytes from {size:,}: refused as a zip bomb")
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise CheckpointError(f"{path}: {member.filename} is packed by method {member.compress_type}, expected "
                                  "stored or deflated members, as np.savez and torch.save write them")
    return archive


def _directory_size(file, size):
    """Bytes of the central directory, as its end record says; zipfile reads them all before it can be asked."""
    start = max(0, size - (1 << 16) - 22)
    file.seek(start)
    tail = file.read()
    end = tail.rfind(END)
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile("the directory at its end is missing")
    (directory,) = struct.unpack_from("<I", tail, end + 12)
    if end >= 20 and tail[end - 20:end - 16] == LOCATOR64:
        (offset,) = struct.unpack_from("<Q", tail, end - 12)
        file.seek(min(offset, size))
        record = file.read(56)
        if record[:4] == END64 and len(record) == 56:
            (directory,) = struct.unpack_from("<Q", record, 40)
    return directory
