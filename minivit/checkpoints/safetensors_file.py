"""A .safetensors file: eight bytes of length, a JSON header of names, dtypes, shapes and offsets, then the numbers.

The format is Hugging Face's (https://github.com/huggingface/safetensors#format). It is read here, and written in
safetensors_writing.py, so that minivit runs where their library has no build, as in a browser's Python. Numbers go
straight from the file into arrays of their own: no weight is in memory twice.
"""

import json
import math
import os
import struct
import weakref

import numpy as np

from ..errors import CheckpointError
from .bfloat16 import from_bfloat16
from .source import Source, damage_is_told

# In the order in which the format's own library lays tensors out. NumPy has no bfloat16: its bits are read.
DTYPES = {"U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "U32": "<u4", "I32": "<i4", "BF16": "<u2",
          "F16": "<f2", "U16": "<u2", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1"}
FLOATS = ("F64", "F32", "F16", "BF16")
METADATA = "__metadata__"
LARGEST_HEADER = 4 << 20
MOST_AXES, LONGEST_AXIS = 64, 1 << 62


def matches(start):
    """Whether a file that begins with these bytes is one: a plausible length, then a JSON object.

    A length may begin with a pickle's first byte, but a pickle never with a plausible length: the protocol and what
    follows it are not five bytes of zero.
    """
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 24


def open_source(path):
    """The Source of a .safetensors file of weights. Raises CheckpointError."""
    tensors = TensorFile(path)

    def read(name):
        if tensors.dtypes[name] not in FLOATS:
            raise CheckpointError(f"{path}: {name} is of dtype {tensors.dtypes[name]}, expected {', '.join(FLOATS)}")
        return tensors.read(name)

    return Source(str(path), tensors.shapes, read, tensors.metadata)


class TensorFile:
    """A .safetensors file, by its path or open already, whose header is whole.

    It closes with `with`, `close`, or when nothing refers to it.

    shapes: {name: shape} and dtypes: {name: "F32" and the like}, in the header's order. metadata: {text: text}. Raises
    CheckpointError for a header that is damaged, hostile or at odds with the file's size, OSError where it can't open.
    """

    def __init__(self, source):
        opened = hasattr(source, "read")
        self._label = "the .safetensors file" if opened else str(source)
        self._file = source if opened else open(source, "rb")
        self.close = weakref.finalize(self, self._file.close)
        try:
            with damage_is_told(self._label, ".safetensors file"):
                self.metadata, header = self._header()
                self._check_places(header)
        except BaseException:
            self.close()
            raise
        self.shapes = {name: tuple(about["shape"]) for name, about in header.items()}
        self.dtypes = {name: about["dtype"] for name, about in header.items()}
        self._starts = {name: self._data + about["data_offsets"][0] for name, about in header.items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self, name):
        """The numbers of a tensor; bfloat16 becomes float32."""
        dtype = self.dtypes[name]
        array = np.empty(math.prod(self.shapes[name]), DTYPES[dtype])
        self._file.seek(self._starts[name])
        if self._file.readinto(array) != array.nbytes:
            raise CheckpointError(f"{self._label} ends before {name} does")
        return (from_bfloat16(array) if dtype == "BF16" else array).reshape(self.shapes[name])

    def _header(self):
        """(metadata, {name: {"dtype", "shape", "data_offsets"}}), each of the type that it should be."""
        (length,) = struct.unpack("<Q", self._file.read(8))
        if length > LARGEST_HEADER:
            raise CheckpointError(f"{self._label} has a header of {length:,} bytes; a ViT's takes far less than "
                                  f"{LARGEST_HEADER:,}")
        self._data = 8 + length
        text = self._file.read(length)
        if len(text) < length:
            raise ValueError("it ends within its header")
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_with_each_name_once)
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        metadata = header.pop(METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata does not map texts to texts")
        for name, about in header.items():
            if not isinstance(about, dict) or set(about) != {"dtype", "shape", "data_offsets"}:
                raise ValueError(f"{name} has no dtype, shape and data_offsets, or has more than these")
            if not isinstance(about["dtype"], str) or about["dtype"] not in DTYPES:
                raise ValueError(f"{name} is of dtype {about['dtype']!r}, expected one of {', '.join(DTYPES)}")
            if not _are_counts(about["shape"]) or len(about["shape"]) > MOST_AXES:
                raise ValueError(f"{name} has the shape {str(about['shape'])[:50]}")
            if not _are_counts(about["data_offsets"]) or len(about["data_offsets"]) != 2:
                raise ValueError(f"{name} has the data_offsets {str(about['data_offsets'])[:50]}")
        return metadata, header

    def _check_places(self, header):
        """Raises ValueError unless the tensors fill the file one after another, each with the bytes of its shape."""
        end = 0
        for name, about in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            start, stop = about["data_offsets"]
            if start != end:
                raise ValueError(f"{name} begins at byte {start:,} of the numbers, expected {end:,}")
            needed = math.prod(about["shape"]) * np.dtype(DTYPES[about["dtype"]]).itemsize
            if stop - start != needed:
                raise ValueError(f"{name} has {stop - start:,} bytes, its shape and dtype need {needed:,}")
            end = stop
        size = self._file.seek(0, os.SEEK_END)
        if size != self._data + end:
            raise ValueError(f"it has {size:,} bytes, its header tells of {self._data + end:,}")


def _with_each_name_once(pairs):
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a name stands twice in its header")
    return result


def _are_counts(values):
    return isinstance(values, list) and all(type(n) is int and 0 <= n < LONGEST_AXIS for n in values)
