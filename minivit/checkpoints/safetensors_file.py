"""A .safetensors file: eight bytes of length, a JSON header of names, dtypes, shapes and offsets, then the numbers.

The format is Hugging Face's (https://github.com/huggingface/safetensors#format). It is read and written here, so that
minivit runs where their library has no build, as in a browser's Python. Numbers go straight from the file into arrays
of their own, and from arrays into the file one tensor at a time: no weight is in memory twice.
"""

import json
import math
import os
import struct
import weakref

import numpy as np

from ..errors import CheckpointError
from .atomic import replacing
from .source import Source, damage_is_told

# In the order in which the format's own library lays tensors out. NumPy has no bfloat16: its bits are read.
DTYPES = {"U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "U32": "<u4", "I32": "<i4", "BF16": "<u2",
          "F16": "<f2", "U16": "<u2", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1"}
FLOATS = ("F64", "F32", "F16", "BF16")
CODES = {text[1:]: code for code, text in DTYPES.items() if code != "BF16"}             # "f4" -> "F32"
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


def write(path, tensors, metadata=None, dtype=None):
    """Write {name: array} to a .safetensors file that appears whole. The rest is as `pieces` has it."""
    content = pieces(tensors, metadata, dtype)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        for piece in content:
            file.write(piece)


def pieces(tensors, metadata=None, dtype=None):
    """Yields a file's bytes, header and tensors one after another, as the format's own library lays them out.

    metadata: {text: text}. dtype: "float64", "float32", "float16" or "bfloat16" for all tensors, by default each has
    its own. Raises ValueError for numbers that the file cannot hold.
    """
    dtypes = {name: _code(name, array, dtype) for name, array in tensors.items()}
    order = sorted(tensors, key=lambda name: (list(DTYPES).index(dtypes[name]), name))
    header, end = {} if metadata is None else {METADATA: metadata}, 0
    for name in order:
        start, end = end, end + tensors[name].size * np.dtype(DTYPES[dtypes[name]]).itemsize
        header[name] = {"dtype": dtypes[name], "shape": tensors[name].shape, "data_offsets": [start, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)                                                      # the numbers are aligned
    yield struct.pack("<Q", len(text)) + text
    for name in order:
        yield _as_dtype(name, tensors[name], dtypes[name])


def _code(name, array, dtype):
    """The file's name of the dtype. Raises ValueError where it has none."""
    if dtype == "bfloat16":
        return "BF16"
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    code = CODES.get(f"{dtype.kind}{dtype.itemsize}")
    if code is None or name == METADATA:
        raise ValueError(f"a .safetensors file holds no tensor {name!r} of dtype {dtype}")
    return code


def _as_dtype(name, array, code):
    """The numbers as the file has them, C-contiguous. Raises ValueError where one becomes infinite."""
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(to_bfloat16(array) if code == "BF16" else array, DTYPES[code])
    if code in FLOATS and array.dtype.kind == "f" and FLOATS.index(code) > 0 and array.dtype != result.dtype:
        told = from_bfloat16(result) if code == "BF16" else result
        if not np.array_equal(np.isfinite(told), np.isfinite(array)):
            raise ValueError(f"{name} holds {float(np.abs(array).max()):.4g}, which {code} cannot: save as float32")
    return result


def from_bfloat16(bits):
    """float32 from the bits of bfloat16: it is the upper half of a float32."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def to_bfloat16(array):
    """The bits of bfloat16, rounded to the nearest, a tie to the even one; NaN stays NaN."""
    single = np.ascontiguousarray(array, np.float32)
    bits = single.view(np.uint32)
    rounded = (bits + (0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(single), np.uint16(0x7FC0), rounded)
