"""The step is minivit's, and then something is done to it: a function of each number, another order, a rounding."""

import numpy as np

from ... import gelu, layer_norm, softmax
from ..variations.activations import FUNCTIONS
from ..variations.roundings import WAYS
from . import masks
from .guess import Guess, alike, named

AFTER = {"GELU": lambda a: gelu.forward(a)[0], "its tanh form of GELU": lambda a: gelu.forward(a, "tanh")[0],
         "a softmax": lambda a: softmax.forward(a)[0],
         "a logarithm of a softmax": lambda a: a - a.max(-1, keepdims=True)
             - np.log(np.exp(a - a.max(-1, keepdims=True)).sum(-1, keepdims=True)),
         "a logarithm": lambda a: np.log(np.maximum(a, 1e-300)), "exp": np.exp, "its square": np.square,
         "division by its length": lambda a: a / np.linalg.norm(a, axis=-1, keepdims=True),
         "a LayerNorm without parameters": lambda a: (a - a.mean(-1, keepdims=True))
             / np.sqrt(a.var(-1, keepdims=True) + 1e-6),
         "subtraction of its mean": lambda a: a - a.mean(-1, keepdims=True),
         "division by its sum": lambda a: a / a.sum(-1, keepdims=True),
         "clipping to -1 … 1": lambda a: np.clip(a, -1, 1),
         **{name: function for name, function in FUNCTIONS.items() if "GELU" not in name and "nothing" not in name}}
AXES = {"logits": ("image", "class"), "probabilities": ("image", "class"), "representation": ("image", "feature"),
        "query": ("image", "head", "token", "feature"), "scores": ("image", "head", "query", "key")}
AXES |= {"key": AXES["query"], "value": AXES["query"], "attention": AXES["scores"]}
TOKENS = ("image", "token", "feature")
OWN = {"cls": "[CLS], token 0", "mean": "the mean", "normed_mean": "the mean", "map": "attention pooling",
       "distilled": "[CLS] and the distillation token"}


def of_place(place):
    """Functions and orders that make theirs of ours."""
    if place.ours.shape != place.theirs.shape:
        return
    if place.kind == "scores":
        yield from masks.of_scores(place)
    if not np.isfinite(place.theirs).all():
        return
    with np.errstate(all="ignore"):
        for words, function in AFTER.items():
            if place.fits(function(place.ours)):
                yield Guess(f"{place.kind} goes through {words} at its end", (place.kind,),
                            lambda p, function=function: function(p.ours))
        for words in ("float16", "bfloat16", "float32"):
            if place.fits(WAYS[words](place.ours)):
                yield Guess(f"{place.kind} is rounded to {words}", (place.kind,),
                            lambda p, words=words: WAYS[words](p.ours))
    yield from _norms(place)
    yield from _temperature(place)
    yield from _orders(place)
    if place.kind == "representation":
        yield from _tokens(place)


def _temperature(place):
    """A softmax of a multiple of the scores."""
    scores = place.read("scores") if place.kind == "attention" else place.read("logits")
    if place.kind not in ("attention", "probabilities") or scores is None or place.theirs.min() <= 0:
        return
    s, logarithm = (a - a.mean(axis=-1, keepdims=True) for a in (scores, np.log(place.theirs)))
    factor = float((s * logarithm).sum() / max(float((s * s).sum()), 1e-300))
    if place.fits(softmax.forward(factor * scores)[0]):
        yield Guess(f"softmax is of {factor:.6g} times the {'scores' if place.kind == 'attention' else 'logits'}",
                    (place.kind,), lambda p: softmax.forward(factor * p.read(p.reads[0]))[0])


def _norms(place):
    """A LayerNorm with parameters of the model, at the end of the step."""
    params = place.model.params if place.layer is None else place.model.params["blocks"][place.layer]
    params = params | ({} if place.kind not in ("tokens", "embedded") else
                       {name: place.model.params["blocks"][0][name] for name in ("norm1", "norm2")})
    eps = place.model.config.layer_norm_eps
    for name in ("norm1", "norm2", "norm", "fc_norm"):
        if name in params and params[name]["weight"].size == place.ours.shape[-1]:
            yield Guess(f"{place.kind} goes through {name} once more at its end", (place.kind,),
                        lambda p, name=name: layer_norm.forward(
                            p.ours, (params if p.layer is None else p.model.params["blocks"][p.layer])[name], eps)[0])


def _orders(place):
    """The same numbers in another order along one axis."""
    names = AXES.get(place.kind, TOKENS)
    for axis in range(place.ours.ndim):
        order = _order(place.ours, place.theirs, axis)
        if order is not None and axis < len(names):
            many = names[axis] + ("es" if names[axis] == "class" else "s")
            for kinds in dict.fromkeys([(place.kind,), alike(place.kind)]):
                has = "has its" if len(kinds) == 1 else "have their"
                yield Guess(f"{named(kinds)} {has} {many} in another order: {_told(order)}", kinds,
                            lambda p, order=order, axis=axis: np.take(p.ours, order, axis)
                            if p.ours.shape[axis] == len(order) else None)


def _order(ours, theirs, axis):
    """The order in which ours, taken along an axis, is theirs; None where there is none, or it is our own."""
    a, b = (np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) for array in (ours, theirs))
    if len(a) < 2:
        return None
    rng = np.random.default_rng(0)
    along = rng.standard_normal(a.shape[1])
    ranks = np.argsort(np.argsort(b @ along))
    order = np.argsort(a @ along)[ranks]
    if np.array_equal(order, np.arange(len(a))):
        return None
    return order if np.linalg.norm(a[order] - b) <= 1e-5 * np.linalg.norm(b) else None


def _told(order):
    n = len(order)
    shift = int(order[0])
    if np.array_equal(order, (np.arange(n) + shift) % n):
        return f"moved {shift} places to the front" if shift <= n // 2 else f"moved {n - shift} places to the back"
    if np.array_equal(order, np.arange(n)[::-1]):
        return "from the last to the first"
    for rows in range(2, n // 2 + 1):
        if n % rows == 0 and np.array_equal(order, np.arange(n).reshape(rows, -1).T.ravel()):
            return f"column by column, as of {rows} rows of {n // rows}"
    moved = np.flatnonzero(order != np.arange(n))
    if len(moved) == 2:
        return f"{moved[0]} and {moved[1]} are swapped"
    return ", ".join(map(str, order[:12])) + (", …" if n > 12 else "")


def _tokens(place):
    """Which token is read."""
    normed = place.read("norm")
    if normed is None or normed.ndim != 3:
        return
    for i in range(normed.shape[1]):
        if place.fits(normed[:, i]):
            last = " (the last one)" if i == normed.shape[1] - 1 else ""
            yield Guess(f"the read-out is another: token {i}{last} instead of "
                        f"{OWN[place.model.config.pool]}", ("representation",),
                        lambda p, i=i: p.read("norm")[:, i])
