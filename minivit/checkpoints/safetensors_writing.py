"""Writing a .safetensors file, laid out as the format's own library does; safetensors_file.py reads it.

Numbers go from arrays into the file one tensor at a time: no weight is in memory twice.
"""

import json
import struct

import numpy as np

from .atomic import replacing
from .bfloat16 import from_bfloat16, to_bfloat16
from .safetensors_file import DTYPES, FLOATS, METADATA

CODES = {text[1:]: code for code, text in DTYPES.items() if code != "BF16"}             # "f4" -> "F32"


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
            largest = float(np.abs(array).max())
            wider = "float32" if largest <= float(np.finfo("float32").max) else "float64"
            raise ValueError(f"{name} holds {largest:.4g}, which {code} cannot: save as {wider}")
    return result
