"""A batch of images becomes rows: a row has a path, and what the model says of the image there, or an error.

A batch is computed on one thread from start to end, so that its rows are the same bits wherever it is computed, and
however many batches are computed beside it.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from .. import linear, softmax, vit
from ..engine.blas_threads import one_thread_blas
from ..engine.devices import to_device
from ..errors import ImageError, encodable
from ..images.decoding import rgb_from_bytes
from ..images.preparation import fit, normalise
from ..tracing import attention_maps

NOT_FINITE = "the model's answer is NaN or infinite: look for NaN, or for very large numbers, in its weights"


@dataclass(frozen=True)
class Row:
    """What is said of one image: everything but the path is None where there is an error, or where nobody asked.

    top: [(label, probability), …], the likeliest first. representation: y (D,), what the head reads. distance: pixels,
    and entropy: nats, of each layer's attention, (L,) each, the mean over heads and queries.
    """

    path: str
    error: str | None = None
    top: list[tuple[str, float]] | None = None
    representation: np.ndarray | None = None
    distance: np.ndarray | None = None
    entropy: np.ndarray | None = None


@dataclass(frozen=True)
class Wanted:
    """What rows have. top: how many classes. representation: "float16", "float32" or None. attention: yes or no."""

    top: int = 5
    representation: str | None = "float32"
    attention: bool = False


def rows_of(batch, model, wanted, turn=None):
    """The Row of each Place of a batch, in its order. turn: a lock to hold while the model computes."""
    pixels, errors = [], {}
    for i, place in enumerate(batch):
        try:
            picture = rgb_from_bytes(place.read(), place.name)
            pixels.append(np.asarray(fit(picture, model.config.height_width, model.preprocessing)))
        except ImageError as error:
            errors[i] = str(error)
    x = normalise(np.stack(pixels), model.preprocessing) if pixels else ()                  # (B, H, W, 3)
    with turn or nullcontext():
        made = iter(_of_pictures(x, model, wanted) if pixels else ())
    return [Row(place.name, error=errors[i]) if i in errors else Row(place.name, **next(made))
            for i, place in enumerate(batch)]


def _of_pictures(x, model, wanted):
    """Dictionaries of a Row's fields, for prepared images x (B, H, W, 3)."""
    x = to_device(x.astype(model.dtype, copy=False), model.device)
    found = []                                                           # the arrays that must be finite
    with one_thread_blas(), np.errstate(over="ignore", invalid="ignore"):                   # _checked tells of both
        y = _representation(x, model)                                   # (B, D)
        fields = [{} for _ in x]
        if wanted.top and model.config.num_classes:
            # Two heads read two tokens, whose mean is y: the logits do not follow from it.
            if model.config.pool == "distilled":
                logits, _ = vit.forward(x, model.params, model.config, with_cache=False)                # (B, K)
            else:
                logits, _ = linear.forward(y, model.params["head"])                                     # (B, K)
            p = to_device(softmax.forward(logits)[0], "cpu")
            labels = model.labels or [f"class {k}" for k in range(p.shape[-1])]
            found.append(p)
            best = np.argsort(-p, axis=-1, kind="stable")[:, :wanted.top]                   # (B, top)
            for row, places, field in zip(p, best, fields):
                field["top"] = [(encodable(labels[k]), float(row[k])) for k in places]
        y = to_device(y, "cpu")
        found.append(y)
        if wanted.representation:
            found.append(y.astype(wanted.representation))
            for field, one in zip(fields, found[-1]):
                field["representation"] = one
        if wanted.attention:
            from ..explain.attention.distance import mean_attention_distance  # it imports matplotlib
            from ..explain.relatives import tokens_before
            config = model.config
            maps = [to_device(a, "cpu") for a in attention_maps(model, x)]                  # (B, H, T, T) each
            for b, field in enumerate(fields):
                of_image = [a[b] for a in maps]
                distance = mean_attention_distance(of_image, config.grid, config.patch_size,
                                                   tokens_before(config))                               # (L, H)
                field["distance"] = distance.mean(axis=1)
                field["entropy"] = np.array([entropy(a) for a in of_image])
    if all(np.isfinite(array).all() for array in found):                 # asked once for all rows
        return fields
    return [_checked(field, one) for field, one in zip(fields, y)]


def _checked(fields, y):
    """A row's fields; where its numbers are NaN, or too large for their type, an error alone."""
    p = [p for _, p in fields.get("top", ())]
    if not (np.isfinite(y).all() and np.isfinite(p).all()):
        return {"error": NOT_FINITE}
    written = fields.get("representation", y)
    if not np.isfinite(written).all():
        kind = written.dtype
        return {"error": f"the representation reaches {np.abs(y).max():.3g}, and {kind} ends at "
                         f"{np.finfo(kind).max:.5g}{': take float32' if kind == 'float16' else ''}"}
    return fields


def _representation(x, model):
    """y (B, D) of equation 4: the network without its last linear map."""
    params = {name: value for name, value in model.params.items() if name != "head"}
    return vit.forward(x, params, replace(model.config, num_classes=0), with_cache=False)[0]


def entropy(attention):
    """-Σⱼ aᵢⱼ ln aᵢⱼ in nats, averaged over the heads and the queries i. attention: (H, T, T)."""
    a = attention.astype(np.float64)
    return float(-(a * np.log(np.where(a > 0, a, 1))).sum(axis=-1).mean())
