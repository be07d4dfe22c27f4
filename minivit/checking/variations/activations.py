"""The MLP's activation otherwise: the other form of GELU, or another function."""

import numpy as np

from ... import gelu, tracing_choices
from .changes import with_config
from .variation import Variation


def of_gelu(model):
    """The other form of GELU; the quick one, which is rare, comes with other functions."""
    own = model.config.gelu
    if model.config.gated_mlp and model.config.pool != "map":
        return                                              # there is no GELU
    for other in {"erf": ("tanh",), "tanh": ("erf",), "quick": ("erf", "tanh")}[own]:
        yield Variation(f'GELU in its {other} form: gelu="{other}", found "{own}"', ("hidden", "pool.hidden"),
                        lambda m, other=other: with_config(m, gelu=other))


def of_swiglu(model):
    """A gated MLP whose halves are taken otherwise."""
    def gated(change):
        return {"activation": lambda x, form: change(*np.split(x, 2, axis=-1)) if form == "swiglu" else
                tracing_choices.activation(x, form)}

    def silu(x):
        return x * sigmoid(x)

    ways = {"the halves of SwiGLU are swapped: a · silu(b) instead of silu(a) · b": lambda a, b: a * silu(b),
            "SwiGLU has GELU in place of SiLU": lambda a, b: gelu.forward(a)[0] * b,
            "SwiGLU has the sigmoid in place of SiLU (GLU)": lambda a, b: sigmoid(a) * b,
            "SwiGLU has no activation: a · b": lambda a, b: a * b,
            "SwiGLU's second half is not multiplied: silu(a) alone": lambda a, b: silu(a),
            "SwiGLU's halves are interleaved, a and b in turn":
                lambda a, b: _in_turn(a, b, silu)}
    for words, change in ways.items() if model.config.gated_mlp else ():
        yield Variation(words, ("hidden",), choices=gated(change))


def _in_turn(a, b, silu):
    x = np.concatenate([a, b], axis=-1)
    return silu(x[..., ::2]) * x[..., 1::2]


def sigmoid(x):
    """1 / (1 + exp(-x)), without an overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


FUNCTIONS = {
    'QuickGELU, x σ(1.702 x): gelu="quick"': lambda x: x * sigmoid(1.702 * x),
    "ReLU": lambda x: np.maximum(x, 0),
    "SiLU, x σ(x)": lambda x: x * sigmoid(x),
    "nothing: the activation is missing": lambda x: x,
    "the tanh form of GELU with √(2/π) x for its argument, the cubic term missing":
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * x)),
    "the tanh form of GELU without √(2/π)": lambda x: 0.5 * x * (1 + np.tanh(x + 0.044715 * x ** 3)),
    "GELU with erf(x) in place of erf(x / √2)": lambda x: gelu.forward(x * np.sqrt(2))[0] / np.sqrt(2),
    "GELU without its ½: x (1 + erf(x / √2))": lambda x: 2 * gelu.forward(x)[0],
    "Φ(x), GELU without its factor x": lambda x: _distribution(x),
    "GELU twice": lambda x: gelu.forward(gelu.forward(x)[0])[0],
    **{f"leaky ReLU (slope {slope} below 0)": lambda x, slope=slope: np.where(x > 0, x, slope * x)
       for slope in (0.01, 0.05, 0.1, 0.2, 0.25, 0.3)},
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "SELU": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "tanh": np.tanh,
    "the sigmoid": sigmoid,
    "softplus": lambda x: np.logaddexp(x, 0),
    "the squared ReLU": lambda x: np.maximum(x, 0) ** 2,
    "Mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "hard swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "|x|": np.abs,
    "sine": np.sin,
}


def others():
    """Functions that are no GELU, or half of one."""
    for words, function in FUNCTIONS.items():
        yield Variation(f"the activation is {words}", ("hidden", "pool.hidden"),
                        choices={"activation": lambda x, form, function=function: function(x)})


def _distribution(x):
    """Φ(x), of the standard normal distribution."""
    apart = np.where(np.abs(x) < 1e-6, 1e-6, x)
    return gelu.forward(apart)[0] / apart
