"""The package's own files: .safetensors under timm's names, with config, labels and preprocessing in the metadata."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import DTypeLike
from safetensors.numpy import save_file

from ..errors import CheckpointError
from ..images.preparation import Preprocessing
from ..model import VisionTransformer
from .atomic import replacing
from .timm import (  # noqa: F401 - a format's interface, which is timm's but for the settings
    BEFORE_HEAD,
    IGNORED,
    RESAMPLE,
    file_shape,
    name_map,
    patch_size,
    state_dict,
    to_ours,
)

NAME = "minivit"
KEY = "minivit"


def save(model: VisionTransformer, path: str | os.PathLike[str], dtype: DTypeLike | None = None) -> None:
    """Write a model to a .safetensors file, atomically: a crash leaves the old file, or none, never half of one.

    dtype: what the file holds, the model's own by default; "float16" halves it and is read back as float32.
    Raises ValueError for another ending or dtype.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"minivit saves .safetensors files, found the name {path.name!r}")
    if dtype is not None:
        _check_dtype(dtype)
    tensors = {name: np.ascontiguousarray(a, dtype=dtype) for name, a in state_dict(model).items()}
    write_tensors(path, tensors, {KEY: json.dumps(describe(model))})


def _check_dtype(dtype):
    try:
        known = np.dtype(dtype) in (np.float16, np.float32, np.float64)
    except TypeError:
        known = False
    if not known:
        raise ValueError(f"a file holds float16, float32 or float64, found {dtype!r}")


def write_tensors(path, tensors, metadata):
    """Write a .safetensors file that appears whole."""
    path = Path(path)
    with replacing(path) as temporary:
        # save_file writes to a file of its own naming beside its target first; killed, it leaves that behind.
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".part") as folder:
            save_file(tensors, Path(folder) / path.name, metadata=metadata)
            os.replace(Path(folder) / path.name, temporary)


def describe(model):
    """What a file says of a model beside its weights, as JSON-ready values."""
    return {"config": asdict(model.config), "preprocessing": asdict(model.preprocessing),
            "labels": model.labels, "name": model.name}


def settings(source, sizes):
    """What the file's metadata says: (fields of ViTConfig, Preprocessing, labels). Raises CheckpointError."""
    try:
        about = json.loads(source.metadata[KEY])
        fields, labels, name = dict(about["config"]), about["labels"], about["name"]
        if isinstance(fields.get("image_size"), list):
            fields["image_size"] = tuple(fields["image_size"])
        if labels is not None and not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
            raise ValueError("labels are a list of names")
        if not isinstance(name, str | None):
            raise ValueError("name is a text")
        return fields, Preprocessing(**about["preprocessing"]), labels
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{source.label}: its minivit metadata cannot be read: {error}") from None


def model_name(source):
    """The name that the metadata gives the model, or None."""
    return json.loads(source.metadata[KEY])["name"] if KEY in source.metadata else None
