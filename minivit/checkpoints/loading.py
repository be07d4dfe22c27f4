"""`minivit.load`: weights from wherever they are, as a VisionTransformer."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..config import VARIANTS, ViTConfig
from ..errors import CheckpointError
from ..images.preparation import Preprocessing
from ..model import VisionTransformer, as_dtype
from . import (
    fitting,
    folder,
    google,
    hugging_face,
    native,
    npz_file,
    position_resampling,
    safetensors_file,
    timm,
    torch_file,
    torchvision,
    zip_file,
)
from .source import damage_is_told

MODELS = Path(__file__).parent.parent / "models"
DEFAULT = "cifar10"
FORMATS = (google, torchvision, hugging_face, timm)
# A grid that is not square, and sin-cos positions, cannot be seen in the tensors.
FREE = ("image_size", "position")
HEADS = {row.width: row.num_heads for row in VARIANTS.values()}


@dataclass(frozen=True)
class Origin:
    """Where a loaded model's weights come from. form: the naming. ignored: {tensor that was left out: why}.

    positions, grid and resample: the table as it was trained, its (rows, columns), and the way it was resampled to
    another image size; None for models without learned positions.
    """

    form: str
    ignored: dict = field(default_factory=dict)
    positions: np.ndarray | None = None
    grid: tuple | None = None
    resample: str | None = None


def load(source: Any = DEFAULT, *, dtype: DTypeLike | None = None, num_heads: int | None = None,
         layer_norm_eps: float | None = None, gelu: str | None = None, image_size: int | tuple[int, int] | None = None,
         resample: str | None = None, labels: Sequence[str] | None = None,
         preprocessing: Preprocessing | None = None) -> VisionTransformer:
    """A VisionTransformer from weights in any of these forms, told apart by their content.

    source: a packaged model's name; a .safetensors, Google .npz or torch .pth file; a folder with config.json; a torch
    module of timm, transformers or torchvision. Tensors have the names of Google, timm, Hugging Face, torchvision or
    `minivit.save`. What shapes cannot tell (heads, eps, GELU form) comes from the file's metadata, config.json or the
    module, else from the format's convention and the variant table; the arguments override it.

    dtype: "float32" or "float64"; float32 by default, a module's own for a module. image_size: pixels, one number or
    (height, width); learned positions are then resampled. resample: "google", "timm", "hugging_face" or "torchvision",
    by default as the weights' own library does it (position_resampling). labels: the K classes' names.
    preprocessing: a minivit.Preprocessing. Tensors that a plain ViT has no use for are told on stderr, and stand in
    model.origin.ignored. Raises CheckpointError for what is missing, unexpected, mis-shaped or not finite.
    """
    opened = open_source(source)
    form = form_of(opened)
    dtype = as_dtype(dtype or opened.dtype)
    changes = {name: value for name, value in (("num_heads", num_heads), ("layer_norm_eps", layer_norm_eps),
                                               ("gelu", gelu), ("image_size", image_size)) if value is not None}
    with damage_is_told(opened.label, "checkpoint of a plain ViT"):
        places, ignored = fitting.fit_names(opened, form)
        config, own_preprocessing, own_labels = read_config(opened, form, places, changes)
        fitting.fit_shapes(opened, form, places, config, ignored)
        params = fitting.read_params(opened, form, places, config, dtype)
    _tell(ignored, opened.label)
    origin = Origin(form.NAME, ignored)
    if config.position == "learned":
        origin = replace(origin, positions=params["pos_embed"], grid=config.grid, resample=resample or form.RESAMPLE)
        wanted = replace(config, **changes)
        params["pos_embed"] = position_resampling.resample(params["pos_embed"], config.grid, wanted.grid,
                                                           origin.resample)
    return VisionTransformer(replace(config, **changes), params, name=_name(source, opened), origin=origin,
                             labels=own_labels if labels is None else labels,
                             preprocessing=preprocessing or own_preprocessing)


def packaged():
    """The names of the packaged models."""
    return sorted(path.stem for path in MODELS.glob("*.safetensors"))


def open_source(source):
    """The Source of whatever `load` takes. Raises CheckpointError."""
    if torch_file.is_module(source):
        return torch_file.from_module(source)
    if not isinstance(source, (str, Path)):
        raise CheckpointError(f"a model is loaded from a name, a path or a torch module, found {type(source).__name__}")
    path = MODELS / f"{source}.safetensors" if str(source) in packaged() else Path(source)
    if not path.exists():
        raise CheckpointError(f"no file {source}, and no packaged model of that name: there is {', '.join(packaged())}")
    if path.is_dir():
        return folder.open_source(path, open_file)
    opened = open_file(path)
    opened.settings = folder.settings_beside(path)
    return opened


def open_file(path):
    """The Source of one file, by what its first bytes are, whatever its name. Raises CheckpointError."""
    with damage_is_told(str(path), "file of weights"):
        with open(path, "rb") as file:
            start = file.read(9)
        if start[:4] == zip_file.MAGIC:
            return npz_file.open_source(path) if npz_file.is_npz(path) else torch_file.open_source(path)
        if safetensors_file.matches(start):             # before pickles: its first byte may be 0x80 as theirs is
            return safetensors_file.open_source(path)
        if start[:1] == b"\x80":
            return torch_file.open_source(path)
        size = path.stat().st_size
    raise CheckpointError(f"{path}, {size:,} bytes, is no .safetensors, .npz or .pth file, whatever its name says")


def form_of(source):
    """The module of the format whose names these are. Raises CheckpointError."""
    if native.KEY in source.metadata:
        return native
    for form in FORMATS:
        if form.matches(source.shapes):
            return form
    first = next(iter(source.shapes), None)
    found = f"{first} is the first tensor without a place" if first else "it is empty"
    raise CheckpointError(f"{source.label} holds no Vision Transformer under the names of Google, timm, Hugging Face "
                          f"or torchvision: {found}")


def read_config(source, form, places, changes):
    """(ViTConfig, Preprocessing or None, labels or None) of the weights as they are. Raises CheckpointError.

    changes decide only what nothing else tells: the heads, and a grid of positions that is not square.
    """
    fields = fitting.sizes(source, form, places)
    told, preprocessing, labels = form.settings(source, fields)
    odd = [name for name in told if name in fields and name not in FREE and told[name] != fields[name]]
    if odd:
        raise CheckpointError(f"{source.label} says {odd[0]} {told[odd[0]]!r}, its tensors {fields[odd[0]]!r}: the two "
                              "do not belong together")
    fields |= told
    if "num_heads" not in fields:
        fields["num_heads"] = HEADS.get(fields["width"], changes.get("num_heads"))
        if fields["num_heads"] is None:
            raise CheckpointError(f"{source.label}: the weights do not tell the number of heads, and no variant has "
                                  f"the width {fields['width']}: give num_heads=…")
    if "image_size" not in fields:
        if "image_size" not in changes:
            raise CheckpointError(f"{source.label}: its positions cover no square grid: give image_size=(h, w)")
        fields["image_size"] = changes["image_size"]
    config = ViTConfig(**fields)
    if labels is not None and len(labels) != config.num_classes:
        raise CheckpointError(f"{source.label}: {len(labels)} labels do not name {config.num_classes} classes")
    return config, preprocessing, labels


def _tell(ignored, label):
    """One line on stderr for each reason to leave tensors out."""
    for why in dict.fromkeys(ignored.values()):
        names = ", ".join(name for name in ignored if ignored[name] == why)
        print(f"minivit: {label}: left out {names}: {why}", file=sys.stderr)


def _name(source, opened):
    if opened.module is not None:
        return type(opened.module).__name__
    return native.model_name(opened) or Path(source).stem
