"""`minivit.forward(image)` and `minivit.backward(image, label)`: from an image to an answer, and back to its pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import loss, softmax
from .engine.devices import to_device
from .explain import screens
from .images.preparation import is_batch
from .model import VisionTransformer
from .tracing import Trace, is_attention_map, trace
from .types import Array, Images, Params

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def forward(image: Images, model: VisionTransformer | None = None) -> "Prediction":
    """What a model sees in an image, or in each of a batch. Returns a Prediction.

    image: a path, a PIL image, an array (H, W), (H, W, 3 or 4) or (B, H, W, 3), uint8 or float in [0, 1], or a list of
    these; a list or 4-D array is a batch. model: a VisionTransformer, the packaged one by default. Raises ImageError.
    """
    model = checked_model(model)
    x = model.prepare(image)
    return Prediction(model, x, model(x), is_batch(image))


def backward(image: Images, label: int | str | Sequence[int | str] | Array,
             model: VisionTransformer | None = None) -> "Gradients":
    """The loss of an image under a label, and its gradient for every pixel and every weight. Returns Gradients.

    label: a class by number or by name; for a batch a list of them, or probabilities (B, K). Raises ValueError.
    """
    model = checked_model(model)
    _needs_head(model)
    x = model.prepare(image)
    labels = to_device(_class_numbers(label, model, len(x)), model.device)
    logits, cache = model.forward(x)
    value, loss_cache = loss.forward(logits, labels)
    dx, grads = model.backward(loss.backward(loss_cache), cache)
    return Gradients(float(value), dx, grads)


@dataclass(repr=False)
class Gradients:
    """loss: mean cross-entropy in nats. image: dL/dpixels (B, H, W, 3), prepared pixels. params: nested like params."""

    loss: float
    image: Array
    params: Params

    def __repr__(self) -> str:
        return screens.gradients_screen(self).as_text()

    def _repr_html_(self) -> str:
        return screens.gradients_screen(self).as_html()


class Prediction:
    """A model's answer. Its logits are computed; attention and trace are, on first use, by a second pass."""

    def __init__(self, model: VisionTransformer, x: Array, logits: Array, is_batch: bool) -> None:
        self.model, self.x, self._logits, self.is_batch = model, x, logits, is_batch

    @property
    def logits(self) -> Array:
        """Scores (K,), or (B, K) for a batch; the representation (D,) of a model without head."""
        return self._logits if self.is_batch else self._logits[0]

    @cached_property
    def probabilities(self) -> Array:
        """softmax(logits): (K,), or (B, K) for a batch. Raises ValueError for a model without head."""
        _needs_head(self.model)
        p, _ = softmax.forward(self._logits)
        return p if self.is_batch else p[0]

    @cached_property
    def trace(self) -> Trace:
        """{name: array}: every step from pixels to probabilities, in order, each with its batch axis."""
        return trace(self.model, self.x)

    @property
    def attention(self) -> list[Array]:
        """One array a layer: (H, T, T), or (B, H, T, T) for a batch. Row i says where token i looks."""
        maps = [array for name, array in self.trace.items() if is_attention_map(name)]
        return maps if self.is_batch else [a[0] for a in maps]

    def top(self, count: int = 5) -> Any:
        """[(label, probability), …] of the likeliest classes; a list of these for a batch. Raises ValueError."""
        if count < 1:
            raise ValueError(f"top gives one class or more, found the count {count}")
        p = to_device(self.probabilities, "cpu")
        labels = self.model.labels or [f"class {k}" for k in range(p.shape[-1])]
        best = np.argsort(-np.atleast_2d(p), axis=-1, kind="stable")[:, :count]             # (B, count)
        rows = [[(labels[k], float(row[k])) for k in ks] for row, ks in zip(np.atleast_2d(p), best)]
        return rows if self.is_batch else rows[0]

    def show(self) -> "Figure":
        """Show the image, its patches, the attention from [CLS] and the five likeliest classes, as one figure.

        In a notebook it is drawn in the cell, in a script in a window; without a display one line on stderr says so.
        Returns the matplotlib figure, for figure.savefig.
        """
        from .explain.answers.prediction_figure import prediction_figure
        from .explain.showing import show
        figure = prediction_figure(self)
        show(figure)
        return figure

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> "Prediction":
        if not isinstance(i, (int, np.integer)):
            raise TypeError(f"a prediction's members are p[0] to p[{len(self) - 1}], found the index {i!r}")
        if not -len(self) <= i < len(self):
            raise IndexError(f"a batch of {len(self)}, found the index {i}")
        i %= len(self)
        return Prediction(self.model, self.x[i:i + 1], self._logits[i:i + 1], is_batch=False)

    def __iter__(self) -> Iterator["Prediction"]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return screens.prediction_text(self)

    def _repr_html_(self) -> str:
        return screens.prediction_screen(self).as_html()


@cache
def packaged_model() -> VisionTransformer:
    """The packaged model, read once."""
    from .checkpoints.loading import load
    return load()


def checked_model(model):
    """The model, or the packaged one for None. Raises ValueError for a name or a path."""
    if isinstance(model, (str, Path)):
        raise ValueError(f"model is a VisionTransformer, found {model!r}: minivit.load or minivit.init makes one")
    return model or packaged_model()


def _needs_head(model):
    if not model.config.num_classes:
        raise ValueError("the model has no head, so no classes: logits holds its representation instead")


def _class_numbers(label, model, B):
    """Labels as an array (B,) of class numbers, or (B, K) of probabilities; names are looked up. Raises ValueError."""
    many = list(label) if isinstance(label, (list, tuple)) or getattr(label, "ndim", 0) else [label]
    if any(isinstance(one, str) for one in many):
        known = model.labels or []
        unknown = [one for one in many if isinstance(one, str) and one not in known]
        if unknown:
            raise ValueError(f"the model has no class {unknown[0]!r}: it knows {', '.join(known) or 'no names'}")
        many = [known.index(one) if isinstance(one, str) else one for one in many]
    labels = np.asarray(many)
    if len(labels) != B:
        raise ValueError(f"{B} image(s) need {B} label(s), found {len(labels)}")
    return labels
