"""LayerNorm otherwise: its eps, its formula, its scale and shift, and where it stands."""

import numpy as np

from ... import layer_norm
from ...head import norm_name
from .changes import in_blocks, with_config
from .variation import Variation

EPS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12)
EVERY = ("norm1", "norm2", "norm", "norm_pre", "pool.norm")


def eps_variation(model, eps):
    """LayerNorm's eps is another."""
    return Variation(f"LayerNorm's eps is {eps:.4g}: layer_norm_eps={eps:.4g}, found {model.config.layer_norm_eps:.4g}",
                     EVERY, lambda m: with_config(m, layer_norm_eps=eps), eps=eps, apart=True)


def of_eps(model):
    """The values of eps that libraries have."""
    return [eps_variation(model, eps) for eps in EPS if eps != model.config.layer_norm_eps]


def normalised(x, eps, mean=True, axis=-1, ddof=0, outside=False, root=True):
    """x̂ of the formula's variants. mean: whether it is subtracted; outside: √var + eps in place of √(var + eps)."""
    centred = x - x.mean(axis=axis, keepdims=True) if mean else x
    variance = x.var(axis=axis, ddof=ddof, keepdims=True) if mean else (x * x).mean(axis=axis, keepdims=True)
    deviation = np.sqrt(variance) + eps if outside else np.sqrt(variance + eps) if root else variance + eps
    return centred / deviation


def _affine(form):
    """A LayerNorm of the sections' signature that makes x̂ by `form`(x, eps), and scales and shifts it."""
    return lambda x, params, eps: form(x, eps) * params["weight"] + params["bias"]


def _scaled(change):
    """A LayerNorm that makes `change`(x̂, weight, bias) of x̂."""
    return lambda x, params, eps: change(normalised(x, eps), params["weight"], params["bias"])


def _every(cause, norm):
    """A Variation of every norm, and one of the final norm alone, with norm(x, params, eps)."""
    yield Variation(cause, EVERY, choices={"norm": norm, "final_norm": norm, "first_norm": norm}, apart=True)
    yield Variation(f"{cause}, in the final norm", ("norm",), choices={"final_norm": norm})


def _sample_deviation_outside(e):
    """(x - mean) / (std + e), std by n - 1: "The Annotated Transformer" has it so; e: eps, or the model's."""
    return _affine(lambda x, eps: normalised(x, e or eps, ddof=1, outside=True))


def of_forms(model):
    """The formula, and its scale and shift."""
    formulas = {
        "the variance is divided by D - 1 instead of D (ddof=1, as torch.var and torch.std do it)":
            lambda x, eps: normalised(x, eps, ddof=1),
        "eps stands outside of the root: √var + eps": lambda x, eps: normalised(x, eps, outside=True),
        "the standard deviation √var is divided by without eps": lambda x, eps: normalised(x, 0.0),
        "the mean is not subtracted (RMSNorm)": lambda x, eps: normalised(x, eps, mean=False),
        "the mean is not subtracted, but the variance is taken about it":
            lambda x, eps: x / np.sqrt(x.var(axis=-1, keepdims=True) + eps),
        "the mean of x² is taken for the variance, though the mean is subtracted": lambda x, eps:
            (x - x.mean(axis=-1, keepdims=True)) / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps),
        "the root is taken twice: √(√var + eps)": lambda x, eps:
            (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.std(axis=-1, keepdims=True) + eps),
        "the root is missing: x is divided by the variance": lambda x, eps: normalised(x, eps, root=False),
        "nothing is divided by: the mean alone is subtracted": lambda x, eps: x - x.mean(axis=-1, keepdims=True),
        "x is divided by its length, ‖x‖": lambda x, eps: x / np.linalg.norm(x, axis=-1, keepdims=True),
        "x less its mean is divided by its length": lambda x, eps: normalised(x, 0.0) / np.sqrt(x.shape[-1]),
        "mean and variance are taken over the tokens instead of the features":
            lambda x, eps: normalised(x, eps, axis=1 if x.ndim == 3 else 0),
        "mean and variance are taken over tokens and features together":
            lambda x, eps: normalised(x, eps, axis=tuple(range(1, x.ndim))),
    }
    for words, form in formulas.items():
        yield from _every(f"LayerNorm: {words}", _affine(form))
    for e in (None, *(e for e in EPS if e != model.config.layer_norm_eps)):
        told = "eps" if e is None else f"{e:.4g}"
        yield from _every("LayerNorm: the variance is divided by D - 1 instead of D (ddof=1) and eps stands outside of "
                          f"the root: std + {told}", _sample_deviation_outside(e))
        if e:
            yield from _every(f"LayerNorm: eps stands outside of the root, and is another: √var + {told}",
                              _affine(lambda x, eps, e=e: normalised(x, e, outside=True)))
            yield from _every(f"LayerNorm: the variance is divided by D - 1 instead of D (ddof=1), and eps is {told}",
                              _affine(lambda x, eps, e=e: normalised(x, e, ddof=1)))
    scales = {"its scale and shift are missing (no weight, no bias)": lambda n, w, b: n,
              "its bias is missing": lambda n, w, b: n * w,
              "its weight is missing": lambda n, w, b: n + b,
              "the scale is 1 + weight instead of weight": lambda n, w, b: n * (1 + w) + b,
              "weight and bias are swapped": lambda n, w, b: n * b + w,
              "the bias is added before the scale: (x̂ + bias) weight": lambda n, w, b: (n + b) * w,
              "its bias is subtracted": lambda n, w, b: n * w - b,
              "x̂ is divided by the weight": lambda n, w, b: n / w + b}
    for words, change in scales.items():
        yield from _every(f"LayerNorm: {words}", _scaled(change))
    yield Variation("LayerNorm is missing", EVERY, choices={"norm": nothing, "final_norm": nothing}, apart=True)
    if model.config.norm_pre:
        yield Variation("the norm before the layers is missing", ("norm_pre",), choices={"first_norm": nothing})


def nothing(x, params, eps):
    """x itself: a norm that is not there."""
    return x


def of_places(model):
    """Norms after the sums (post-norm) or at the branch's end; and one norm's parameters for another's."""
    def after_the_sum(x, branch, normed, params, eps):
        return layer_norm.forward(x + branch, params, eps)[0]

    def of_the_branch(x, branch, normed, params, eps):
        return x + layer_norm.forward(branch, params, eps)[0]

    post = Variation("LayerNorm stands after each residual sum (post-norm) instead of before each branch (pre-norm)",
                     ("norm1", "residual1", "norm2", "output"), choices={"norm": nothing, "residual": after_the_sum})
    yield post
    yield post.and_also(Variation("and the final norm is missing", choices={"final_norm": nothing}))
    yield Variation("LayerNorm stands at the end of each branch, before the residual sum (res-post-norm)",
                    ("norm1", "residual1", "norm2", "output"), choices={"norm": nothing, "residual": of_the_branch})

    def blocks(change):
        return in_blocks(lambda blocks, i: {**blocks[i], **change(blocks[i])})

    for words, change in (
            ("norm1 and norm2 are swapped", lambda b: {"norm1": b["norm2"], "norm2": b["norm1"]}),
            ("norm2 has norm1's weight and bias: norm1 is used twice", lambda b: {"norm2": b["norm1"]}),
            ("norm1 has norm2's weight and bias: norm2 is used twice", lambda b: {"norm1": b["norm2"]})):
        yield Variation(words, ("norm1", "norm2"), blocks(change))
    final = norm_name(model.config.pool)
    for name in ("norm1", "norm2"):
        yield Variation(f"the final norm has the last layer's {name} for its weight and bias", ("norm",),
                        lambda m, name=name: m.with_params({**m.params, final: m.params["blocks"][-1][name]}))
