"""The package's own files: .safetensors under timm's names, with config, labels and preprocessing in the metadata."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from ..errors import CheckpointError
from ..images.preparation import Preprocessing
from ..model import VisionTransformer
from . import safetensors_writing
from .params import is_finite
from .timm import (  # noqa: F401 - a format's interface, which is timm's but for the settings
    BEFORE_HEAD,
    HEAD,
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

    dtype: what the file holds, the model's own by default; "float16" and "bfloat16" halve it and are read back as
    float32. Raises ValueError for another ending or dtype, and for weights that are not finite or that the dtype cannot
    hold.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"minivit saves .safetensors files, found the name {path.name!r}")
    if dtype is not None:
        dtype = _float_name(dtype)
    tensors = state_dict(model)
    odd = next((name for name, array in tensors.items() if not is_finite(array)), None)
    if odd:
        raise ValueError(f"{odd} holds values that are NaN or infinite, and no file with them is loaded: save a model "
                         "with finite weights")
    safetensors_writing.write(path, tensors, {KEY: json.dumps(describe(model))}, dtype)


def _float_name(dtype):
    try:
        name = dtype if dtype == "bfloat16" else np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in ("float16", "bfloat16", "float32", "float64"):
        raise ValueError(f"a file holds float16, bfloat16, float32 or float64, found {dtype!r}")
    return name


def describe(model):
    """What a file says of a model beside its weights, as JSON-ready values."""
    return {"config": asdict(model.config), "preprocessing": asdict(model.preprocessing),
            "labels": model.labels, "name": model.name}


def cls_row(source):
    """Whether the table of positions has a row for [CLS]; files of the first versions have one, and do not say so."""
    try:
        return bool(json.loads(source.metadata[KEY])["config"].get("prefix_positions", True))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(source, error) from None


def settings(source, sizes, places):
    """What the file's metadata says: (fields of ViTConfig, labels). Raises CheckpointError."""
    try:
        about = json.loads(source.metadata[KEY])
        fields, labels, name = dict(about["config"]), about["labels"], about["name"]
        if "image_size" in fields and fields["image_size"] is None:
            raise ValueError("image_size is null")
        if isinstance(fields.get("image_size"), list):
            fields["image_size"] = tuple(fields["image_size"])
        if labels is not None and not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
            raise ValueError("labels are a list of names")
        if not isinstance(name, str | None):
            raise ValueError("name is a text")
        preprocessing(source, None)
        return fields, labels
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise _unreadable(source, error) from None


def preprocessing(source, config):
    """What the file's metadata says. Raises CheckpointError."""
    try:
        return Preprocessing(**json.loads(source.metadata[KEY])["preprocessing"])
    except (ValueError, TypeError, KeyError) as error:
        raise _unreadable(source, error) from None


def _unreadable(source, error):
    return CheckpointError(f"{source.label}: its minivit metadata cannot be read: {error}")


def model_name(source):
    """The name that the metadata gives the model, or None."""
    return json.loads(source.metadata[KEY])["name"] if KEY in source.metadata else None
