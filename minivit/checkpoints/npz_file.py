"""An .npz file: a zip of .npy arrays, each with a header of dtype and shape. Pickled objects are never read."""

import math

import numpy as np

from ..errors import CheckpointError
from .source import Source, damage_is_told
from .zip_file import MAGIC, open_zip

HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def is_npz(path):
    """Whether a file is a zip of nothing but .npy arrays. Raises CheckpointError for a damaged zip."""
    with open(path, "rb") as file:
        if file.read(4) != MAGIC:
            return False
    with damage_is_told(str(path), ".npz file"), open_zip(path) as archive:
        return all(name.endswith(".npy") for name in archive.namelist())


def open_source(path):
    """The Source of an .npz file. Raises CheckpointError."""
    label = str(path)
    with damage_is_told(label, ".npz file"):
        archive = open_zip(path)
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise CheckpointError(f"{label} holds two arrays of one name")
        headers = {name: _header(archive, member, label) for name, member in members.items()}

    def read(name):
        if headers[name][1].kind != "f":
            raise CheckpointError(f"{label}: {name} is of dtype {headers[name][1]}, expected floats")
        with damage_is_told(label, ".npz file"), archive.open(members[name]) as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    return Source(label, {name: shape for name, (shape, _) in headers.items()}, read)


def _header(archive, member, label):
    """(shape, dtype) of one member, from its first bytes. Raises CheckpointError."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADER_READERS:
            raise CheckpointError(f"{label}: {member.filename} is of .npy version {version}, expected 1.0 or 2.0")
        shape, _, dtype = HEADER_READERS[version](file)
        start = file.tell()
    if dtype.hasobject:
        raise CheckpointError(f"{label}: {member.filename} holds pickled Python objects, which could run code: refused")
    if any(side < 0 for side in shape) or start + math.prod(shape) * dtype.itemsize != member.file_size:
        raise CheckpointError(f"{label}: {member.filename} has {member.file_size - start:,} bytes of numbers, which "
                              f"shape {shape} of {dtype} does not fit")
    return shape, dtype
