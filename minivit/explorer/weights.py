"""Weights for the wire: a .safetensors file under timm's names, of at most 6 MB where that can be.

    float32     exact, 4 bytes a number
    float16     2 bytes, 11 significant bits; the packaged weights are stored so, and are sent as they are
    int8        1 byte: each row of a matrix, the weights of one unit, is q · scale with whole q from -127 to 127 and
                a float32 scale, max |row| / 127, in a tensor beside it called NAME.scale; the rest is float16
"""

import io
import json

import numpy as np

from ..checkpoints import safetensors_file, safetensors_writing
from ..checkpoints.native import KEY, describe
from ..checkpoints.timm import state_dict

WIRE = 6_000_000                        # bytes that a reader is asked to load
ENCODINGS = ("float32", "float16", "int8")
EMBEDDINGS = ("cls_token", "pos_embed")


def encode(model, encoding=None):
    """A model as the bytes of a .safetensors file that the page reads.

    encoding: one of ENCODINGS; by default float16 where the file has at most 6 MB, else int8. Raises ValueError.
    """
    if encoding is None:
        data = encode(model, "float16")
        return data if len(data) <= WIRE else encode(model, "int8")
    if encoding not in ENCODINGS:
        raise ValueError(f"an encoding is one of {', '.join(ENCODINGS)}, found {encoding!r}")
    tensors = {}
    for name, array in state_dict(model).items():
        if encoding == "int8" and array.ndim > 1 and name not in EMBEDDINGS:
            tensors[name], tensors[name + ".scale"] = rows_to_int8(array)
        else:
            tensors[name] = np.ascontiguousarray(array, "float32" if encoding == "float32" else "float16")
    return b"".join(safetensors_writing.pieces(tensors, {KEY: json.dumps(describe(model))}))


def rows_to_int8(weight):
    """(q, scale) of a weight (out, ...): int8 of its shape, and float32 (out,). A row of zeros has the scale 0."""
    rows = np.ascontiguousarray(weight, np.float32).reshape(len(weight), -1)                       # (out, in)
    scale = np.abs(rows).max(axis=1) / np.float32(127)                                   # (out,)
    q = np.round(rows / np.where(scale == 0, np.float32(1), scale)[:, None])
    return q.astype(np.int8).reshape(weight.shape), scale


def decode(data):
    """{timm name: float32 array}, the very numbers that the page computes with, of what `encode` returned."""
    with safetensors_file.TensorFile(io.BytesIO(data)) as file:
        tensors = {name: file.read(name) for name in file.shapes}
    weights = {name: a.astype(np.float32) for name, a in tensors.items() if not name.endswith(".scale")}
    for name, scale in tensors.items():
        if name.endswith(".scale"):
            weights[name.removesuffix(".scale")] *= scale.reshape(-1, *[1] * (tensors[name[:-6]].ndim - 1))
    return weights
