"""AdamW (Loshchilov & Hutter, arXiv 1711.05101): Adam's step and, apart from it, weight decay.

    m = β₁ m + (1 - β₁) g            v = β₂ v + (1 - β₂) g²
    m̂ = m / (1 - β₁ᵗ)                v̂ = v / (1 - β₂ᵗ)
    w = w - rate · (m̂ / (√v̂ + ε) + decay · w)

The head may have head_rate times the rate of the rest: where these are trained and it is new, it has further to go.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..engine import threads
from ..engine.gpu.kernels import fused
from ..engine.tiles import by_rows
from ..trees import flatten, tree_map


@dataclass
class AdamW:
    """The optimiser's state: first and second moments, flat under the parameters' names, and the steps taken."""

    first: dict
    second: dict
    steps: int = 0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    @classmethod
    def for_params(cls, params):
        """Zero moments for these params."""
        flat = flatten(params)
        return cls({n: np.zeros_like(a) for n, a in flat.items()}, {n: np.zeros_like(a) for n, a in flat.items()})

    def step(self, params, grads, rate, decay, head_rate=1.0):
        """One step: changes params and the moments in place. Only weight matrices decay, not biases, norms, tokens.

        What params hold beside those that the optimiser was made for stays as it is. head_rate: the head's rate / rate.
        """
        self.steps += 1
        correction = math.sqrt(1 - self.beta2 ** self.steps)
        params, grads = flatten(params), flatten(grads)

        def of_parameter(name):
            arrays = (params[name], grads[name], self.first[name], self.second[name])
            # Numbers alone are worked out here: inside `update`, a GPU would do it in float32, and for every element.
            own = rate * head_rate if name.startswith(("head.", "head_dist.")) else rate
            whole = (1 - own * decay if decays(name) else 1.0, self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2,
                     own / (1 - self.beta1 ** self.steps), correction, self.epsilon)
            if all(a.flags.c_contiguous for a in arrays):
                by_rows(update, *arrays, whole=whole)
            else:
                fused(update, *arrays, *whole)

        on_all_cores(of_parameter, self.first)

    def arrays(self):
        """The state's arrays, by part and name."""
        return {"first": self.first, "second": self.second}


def update(w, g, m, v, shrink, beta1, new1, beta2, new2, step, correction, epsilon):
    """The equations above, written into w, m and v. new: 1 - β. shrink: 1 - rate · decay. step: rate / (1 - β₁ᵗ).

    correction: √(1 - β₂ᵗ).
    """
    m *= beta1
    m += new1 * g
    v *= beta2
    v += new2 * (g * g)
    w *= shrink
    w -= step * m / (np.sqrt(v) / correction + epsilon)


def on_all_cores(function, arrays):
    """function(name) for each name of {name: array}, on the host a core for each; on a GPU one after another."""
    on_host = all(isinstance(a, np.ndarray) for a in arrays.values())
    list((threads.each if on_host else map)(function, list(arrays)))


def decays(name):
    """Whether a parameter is a weight matrix, which decay pulls towards zero."""
    return name.endswith(".weight") and "norm" not in name


def clip(grads, largest):
    """Scale all gradients down together where their joint norm exceeds `largest`. Returns grads and the norm before.

    The norm stays an array, so that on a GPU nothing waits for it.
    """
    flat = flatten(grads)
    if not all(isinstance(g, np.ndarray) for g in flat.values()):
        return _clip_together(grads, flat, largest)
    norm = np.sqrt(sum(sum_of_squares(g) for g in flat.values()))
    scale = scale_to(norm, largest)
    return tree_map(lambda g: g * scale, grads), norm


def scale_to(norm, largest):
    """What brings a larger norm down to `largest`, at most 1, an array."""
    return (largest / np.maximum(norm, largest)).astype(norm.dtype)


def _clip_together(grads, flat, largest):
    """`clip` on a GPU: all gradients as one array, or each of them would take a few kernels."""
    together = np.concatenate([g.reshape(-1) for g in flat.values()])
    norm = np.sqrt(fused(sum_of_squares, together))
    together *= scale_to(norm, largest)
    ends = np.cumsum([g.size for g in flat.values()]).tolist()
    parts = iter(together[end - g.size:end].reshape(g.shape) for g, end in zip(flat.values(), ends))
    return tree_map(lambda g: next(parts), grads), norm


def sum_of_squares(g):
    """Σ g², a 0-d array."""
    return (g * g).sum()
