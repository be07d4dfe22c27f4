"""`minivit.load`: weights from wherever they are, as a VisionTransformer."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..config import LARGEST, LARGEST_SIDE
from ..errors import CheckpointError, plain
from ..images.preparation import Preprocessing
from ..model import VisionTransformer, as_dtype
from ..ranges import shown, whole
from . import (
    clip,
    dino,
    fitting,
    google,
    hugging_face,
    native,
    new_head,
    position_resampling,
    timm,
    torchvision,
    towers,
)
from .configuring import changed, read_config
from .containers import open_source, packaged  # noqa: F401 - packaged is looked up here
from .params import read_params
from .reading_out import with_norm
from .source import damage_is_told
from .wrapping import unstacked, unwrapped

DEFAULT = "cifar10"
FORMATS = (google, torchvision, clip, hugging_face, dino, timm)


@dataclass(frozen=True)
class Origin:
    """Where a loaded model's weights come from. form: the naming. ignored: {tensor that was left out: why}.

    assumed: what nothing told and was taken from a convention. positions, grid and resample: the table as it was
    trained, its (rows, columns), and the way it was resampled to another image size; None without learned positions.
    commit: of a model by its name on the hub, the commit that its files are of.
    """

    form: str
    ignored: dict = field(default_factory=dict)
    assumed: tuple = ()
    positions: np.ndarray | None = None
    grid: tuple | None = None
    resample: str | None = None
    commit: str | None = None


def load(source: Any = DEFAULT, *, dtype: DTypeLike | None = None, num_heads: int | None = None,
         layer_norm_eps: float | None = None, gelu: str | None = None, pool: str | None = None,
         image_size: int | tuple[int, int] | None = None, resample: str | None = None,
         labels: Sequence[str] | None = None, preprocessing: Preprocessing | None = None,
         num_classes: int | None = None, key: str | None = None, prefix: str | None = None, revision: str | None = None,
         token: str | bool | None = None) -> VisionTransformer:
    """A VisionTransformer from weights in any of these forms, told apart by their content.

    source: a packaged model's name; a .safetensors, Google .npz or torch .pth file; a folder with config.json;
    OWNER/NAME on the Hugging Face hub, unless a path of that name exists; a torch module of timm, transformers or
    torchvision; a state dict of torch or NumPy. Tensors have the names of Google, timm, Hugging Face, torchvision,
    DINOv2, OpenAI's CLIP or `minivit.save`. What shapes cannot tell (heads, eps, GELU form, read-out, grid) comes from
    the file's metadata, config.json or the module, else from the format's convention and the variant table, and then
    one line on stderr tells it, and model.origin.assumed; the arguments override it, all but pool.

    dtype: "float32" or "float64"; float32 by default, a module's own for a module. pool: "cls", "mean" or
    "normed_mean" (ViTConfig), where the source leaves it open; refused where it contradicts the source, whose final
    norm was trained for one read-out. image_size: pixels, one number or (height, width); a
    table of positions is resampled unless its grid is the trained one. resample: "google", "timm", "hugging_face",
    "torchvision" or "dino", by default as the weights' own library does it (position_resampling). labels: the K
    classes' names. preprocessing: a minivit.Preprocessing.
    num_classes: 0 for the model without its head, which then returns the representation; K for a fresh head of zeros
    where the weights' own is for another number of classes (the labels then go with it).
    key: where a file holds several state dicts, the one to read. prefix: where it holds several models, what the names
    of the one to read begin with. revision: a branch, tag or commit on the hub, by default the newest. token: for the
    hub; by default the one that HF_TOKEN or its login holds. Tensors that the model has no use for are told on
    stderr, and stand in model.origin.ignored. Raises CheckpointError for what is missing, unexpected, mis-shaped or not
    finite, and for an argument that does not fit the weights; ValueError for one that fits none.
    """
    num_classes = _whole("num_classes", num_classes, 0)
    num_heads = _whole("num_heads", num_heads, 1)
    image_size = _pixels(image_size)
    opened = towers.arranged(unstacked(unwrapped(open_source(source, key, revision, token), prefix)))
    form = form_of(opened)
    dtype = as_dtype(dtype or opened.dtype)
    changes = {name: value for name, value in (
        ("num_heads", num_heads), ("layer_norm_eps", layer_norm_eps), ("gelu", gelu), ("pool", pool),
        ("image_size", image_size)) if value is not None}
    with damage_is_told(opened.label, "checkpoint of a Vision Transformer"):
        places, ignored = fitting.fit_names(opened, form)
        config, own_labels, told_size = read_config(opened, form, places, changes)
        places = with_norm(places, config.pool)
        places, no_longer = new_head.left_out(places, config.num_classes, num_classes)
        if num_classes is not None and num_classes != config.num_classes:
            config, own_labels = replace(config, num_classes=0), None
        fitting.fit_shapes(opened, form, places, config, ignored)
        wanted = _wanted(config, changes, told_size, opened.label)
        if preprocessing is None:
            own = config if told_size is None else replace(config, image_size=told_size)
            preprocessing = form.preprocessing(opened, own)
        params = read_params(opened, form, places, config, dtype)
    ignored = opened.ignored | ignored
    _tell(ignored | (no_longer if num_classes else {}), opened.assumed, opened.label)
    origin = Origin(form.NAME, ignored | no_longer, tuple(opened.assumed), commit=opened.commit)
    if config.has_position_table:
        origin = replace(origin, positions=params["pos_embed"], grid=config.grid,
                         resample=resample or _way(form, places))
        params["pos_embed"] = position_resampling.resample(params["pos_embed"], config.grid, wanted.grid,
                                                           origin.resample)
    if num_classes and not config.num_classes:
        wanted = replace(wanted, num_classes=num_classes)
        params |= new_head.zero_heads(wanted, dtype)
    return VisionTransformer(wanted, params, name=_name(source, opened), origin=origin,
                             labels=own_labels if labels is None else labels, preprocessing=preprocessing)


def _way(form, places):
    """How the weights' own code resamples positions: with registers DINOv2's smooths, as timm's does."""
    return "timm" if "reg_token" in places else form.RESAMPLE


def _whole(name, value, low):
    """A whole number, NumPy's too, as Python's; None stays None. Raises ValueError."""
    return None if value is None else whole(name, _plain_number(value), low, LARGEST[name])


def _pixels(image_size):
    """An image_size of whole numbers, NumPy's too, as Python's; None stays None. Raises ValueError."""
    if image_size is None:
        return None
    if not isinstance(image_size, (tuple, list)):
        return whole("image_size", _plain_number(image_size), 1, LARGEST_SIDE)
    if len(image_size) != 2:
        raise ValueError(f"image_size is a number of pixels or (height, width), found {shown(image_size)}")
    return tuple(whole("image_size", _plain_number(side), 1, LARGEST_SIDE) for side in image_size)


def _plain_number(value):
    return int(value) if isinstance(value, np.integer) else value


def _wanted(config, changes, told_size, label):
    """The config after the caller's changes, with the source's own image size where the caller gives none."""
    if "pool" in changes and changes["pool"] != config.pool:
        raise CheckpointError(f"the source says that it is read out by {config.pool!r}, which pool={changes['pool']!r} "
                              "cannot change: the final norm was trained for it")
    return changed(config if told_size is None else replace(config, image_size=told_size), changes, label)


def form_of(source):
    """The module of the format whose names these are. Raises CheckpointError."""
    if native.KEY in source.metadata:
        return native
    for form in FORMATS:
        if form.matches([*source.shapes, *source.ignored]):
            return form
    first = next(iter(source.shapes), None)
    found = f"{first} is the first tensor without a place" if first else "it is empty"
    raise CheckpointError(f"{source.label} holds no Vision Transformer under the names of Google, timm, Hugging Face, "
                          f"torchvision, DINOv2 or OpenAI's CLIP: {found}")


def _tell(ignored, assumed, label):
    """One line on stderr for what was assumed, and one for each reason to leave tensors out."""
    if assumed:
        print(plain(f"minivit: {label} does not tell, and so is assumed: {'; '.join(assumed)}"), file=sys.stderr)
    for why in dict.fromkeys(ignored.values()):
        names = [name for name in ignored if ignored[name] == why]
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        print(plain(f"minivit: {label}: left out {', '.join(names[:8])}{more}: {why}"), file=sys.stderr)


def _name(source, opened):
    if opened.module is not None:
        return type(opened.module).__name__
    if opened.commit is not None:
        return source
    return native.model_name(opened) or (Path(source).stem if isinstance(source, (str, Path)) else None)
