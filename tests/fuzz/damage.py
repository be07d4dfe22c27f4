"""Ways to damage a file of weights, each from a seeded random generator."""

import json
import struct

import numpy as np

DTYPES = (np.int8, np.int32, np.int64, np.uint16, np.bool_)


def some_tensor(tensors, rng):
    return list(tensors)[rng.integers(len(tensors))]


def renamed(tensors, rng):
    """One letter of one name is another, or the name is gone or doubled."""
    name = some_tensor(tensors, rng)
    i = rng.integers(len(name))
    other = chr(ord("a") + (ord(name[i]) + 1 + rng.integers(20)) % 26)
    changed = name[:i] + (other if other != name[i] else "~") + name[i + 1:]
    kind = rng.integers(3)
    if kind == 0:
        return {changed if key == name else key: array for key, array in tensors.items()}
    if kind == 1:
        return {key: array for key, array in tensors.items() if key != name}
    return {**tensors, changed: tensors[name]}


def of_other_dtype(tensors, rng):
    """One tensor holds whole numbers or truth values."""
    name = some_tensor(tensors, rng)
    return {**tensors, name: tensors[name].astype(DTYPES[rng.integers(len(DTYPES))])}


def of_other_shape(tensors, rng):
    """One tensor has an axis more, is flat, is turned, or lacks its last entries."""
    name = some_tensor(tensors, rng)
    array = tensors[name]
    shapes = [array[None], array[..., None], array.reshape(-1, 1, 1, 1, 1), array[..., :-1]]
    if array.ndim > 1:
        shapes.append(array.reshape(-1))
    return {**tensors, name: np.ascontiguousarray(shapes[rng.integers(len(shapes))])}


def not_finite(tensors, rng):
    """One value is NaN or infinite."""
    name = some_tensor(tensors, rng)
    array = tensors[name].copy()
    array.flat[rng.integers(array.size)] = (np.nan, np.inf, -np.inf)[rng.integers(3)]
    return {**tensors, name: array}


STRUCTURED = (renamed, of_other_dtype, of_other_shape, not_finite)


def cut_short(content, rng):
    """The file ends too early."""
    return content[:rng.integers(len(content))]


def header_of_safetensors(content, rng):
    """One byte of the length, or of the JSON that lists the tensors, is another; metadata, free text, is left alone."""
    (length,) = struct.unpack_from("<Q", content)
    start = 8
    metadata = json.dumps(json.loads(content[8:8 + length]).get("__metadata__"), separators=(",", ":")).encode()
    if metadata in content:
        start = content.index(metadata) + len(metadata)
    places = [*range(8), *range(start, 8 + len(content[8:8 + length].rstrip()))]
    return with_byte(content, places[rng.integers(len(places))], rng)


def header_of_npz(content, rng):
    """One byte of a .npy header inside the zip, or of the zip's end record, is another."""
    places = [i for i in range(len(content) - 128) if content[i:i + 6] == b"\x93NUMPY"]
    start = places[rng.integers(len(places))]
    return with_byte(content, start + rng.integers(100), rng)


def flipped(content, rng):
    """Any byte is another."""
    return with_byte(content, rng.integers(len(content)), rng)


def with_byte(content, place, rng):
    changed = bytearray(content)
    changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)
