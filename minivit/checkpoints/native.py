"""The package's own files: .safetensors under timm's names, with config, labels and preprocessing in the metadata."""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ..config import ViTConfig
from ..errors import CheckpointError
from ..image import Preprocessing
from .timm import state_dict

KEY = "minivit"


def save(model, path, dtype=None):
    """Write a model to a .safetensors file, atomically: a crash leaves the old file, or none, never half of one.

    dtype: what the file holds, the model's own by default; "float16" halves it and is read back as float32.
    Raises ValueError for another ending or dtype.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"minivit saves .safetensors files, found the name {path.name!r}")
    if dtype is not None and np.dtype(dtype) not in (np.float16, np.float32, np.float64):
        raise ValueError(f"a file holds float16, float32 or float64, found {dtype!r}")
    tensors = {name: np.ascontiguousarray(a, dtype=dtype) for name, a in state_dict(model).items()}
    write_tensors(path, tensors, {KEY: json.dumps(describe(model))})


def write_tensors(path, tensors, metadata):
    """Write a .safetensors file beside its final place, flush it to disk, then move it there in one step."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata=metadata)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def describe(model):
    """What a file says of a model beside its weights, as JSON-ready values."""
    return {"config": asdict(model.config), "preprocessing": asdict(model.preprocessing),
            "labels": model.labels, "name": model.name}


def parse(metadata, source):
    """(config, preprocessing, labels, name) from a file's metadata. Raises CheckpointError."""
    try:
        about = json.loads(metadata)
        config = dict(about["config"])
        if isinstance(config.get("image_size"), list):
            config["image_size"] = tuple(config["image_size"])
        labels = about["labels"]
        if labels is not None and not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
            raise ValueError("labels are a list of names")
        return ViTConfig(**config), Preprocessing(**about["preprocessing"]), labels, about["name"]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{source}: its minivit metadata cannot be read: {error}") from None


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
