"""A .safetensors file: eight bytes of length, a JSON header of names, dtypes, shapes and offsets, then the numbers.

The safetensors library checks the header. The numbers are read straight into arrays of their own: a memory map, which
the library uses, would count every weight twice, and NumPy has no bfloat16.
"""

import json
import math
import struct

import numpy as np
from safetensors import safe_open

from ..errors import CheckpointError
from .source import Source, damage_is_told

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
LARGEST_HEADER = 4 << 20


def matches(start):
    """Whether a file that begins with these bytes is one: a plausible length, then a JSON object.

    A length may begin with a pickle's first byte, but a pickle never with a plausible length: the protocol and what
    follows it are not five bytes of zero.
    """
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 24


def open_source(path):
    """The Source of a .safetensors file. Raises CheckpointError."""
    label = str(path)
    with damage_is_told(label, ".safetensors file"):
        file = open(path, "rb")                # `read` needs it for as long as the Source lives
        (length,) = struct.unpack("<Q", file.read(8))
        if length > LARGEST_HEADER:
            raise CheckpointError(f"{label} has a header of {length:,} bytes; a ViT's takes far less than "
                                  f"{LARGEST_HEADER:,}")
        with safe_open(path, framework="numpy"):
            pass
        header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})

    def read(name):
        about = header[name]
        if about["dtype"] not in DTYPES:
            raise CheckpointError(f"{label}: {name} is of dtype {about['dtype']}, expected {', '.join(DTYPES)}")
        start, end = about["data_offsets"]
        array = np.empty(math.prod(about["shape"]), DTYPES[about["dtype"]])
        file.seek(8 + length + start)
        if array.nbytes != end - start or file.readinto(array) != array.nbytes:
            raise CheckpointError(f"{label} ends before {name} does")
        return (from_bfloat16(array) if about["dtype"] == "BF16" else array).reshape(about["shape"])

    return Source(label, {name: tuple(about["shape"]) for name, about in header.items()}, read, metadata)


def from_bfloat16(bits):
    """float32 from the bits of bfloat16: it is the upper half of a float32."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)
