"""`minivit.load`: weights from wherever they are, as a VisionTransformer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from ..config import VARIANTS, ViTConfig
from ..errors import CheckpointError
from ..model import VisionTransformer, as_dtype
from . import native, timm

MODELS = Path(__file__).parent.parent / "models"
DEFAULT = "cifar10"


def load(source=DEFAULT, *, dtype="float32", labels=None, preprocessing=None, **changes):
    """A VisionTransformer from a packaged model's name, or a .safetensors file under timm's names or minivit's own.

    What shapes cannot tell comes from the file's metadata, else from the variant table, else from `changes`, fields
    of ViTConfig such as num_heads; never from a silent guess. Raises CheckpointError.
    """
    path = find(source)
    tensors, metadata = read(path, as_dtype(dtype))
    if native.KEY in metadata:
        config, own_preprocessing, own_labels, name = native.parse(metadata[native.KEY], path)
        config = replace(config, **changes)
    elif timm.matches(tensors):
        config, own_preprocessing, own_labels, name = _timm_config(tensors, changes, path), None, None, None
    else:
        raise CheckpointError(f"{path} holds no tensor named patch_embed.proj.weight: expected timm's names")
    params = timm.to_params(tensors, config, path)
    return VisionTransformer(config, params, name=name or path.stem, labels=own_labels if labels is None else labels,
                             preprocessing=preprocessing or own_preprocessing)


def packaged():
    """The names of the packaged models."""
    return sorted(path.stem for path in MODELS.glob("*.safetensors"))


def find(source):
    """The file of a packaged model's name or of a path. Raises CheckpointError."""
    if str(source) in packaged():
        return MODELS / f"{source}.safetensors"
    path = Path(source)
    if not path.exists():
        raise CheckpointError(f"no file {source}, and no packaged model of that name: there is {', '.join(packaged())}")
    return path


def read(path, dtype):
    """({name: array in dtype}, metadata) of a .safetensors file. Raises CheckpointError."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).astype(dtype, copy=False) for name in file.keys()}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a whole .safetensors file: {error}") from None
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{path}: {name} holds values that are NaN or infinite")
    return tensors, metadata


def _timm_config(tensors, changes, path):
    """The config that timm's shapes, the variant table and the caller's changes give. Raises CheckpointError."""
    try:
        sizes = timm.sizes(tensors) | changes
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is no plain ViT under timm's names: {error} is missing or mis-shaped") from None
    if "num_heads" not in sizes:
        heads = {row.num_heads for row in VARIANTS.values() if row.width == sizes["width"]}
        if len(heads) != 1:
            raise CheckpointError(f"{path}: the number of heads cannot be read from the weights: give num_heads=…")
        sizes["num_heads"] = heads.pop()
    return ViTConfig(**sizes)
