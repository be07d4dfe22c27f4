"""Are the gradients right? Finite differences tell, without trust in any derivation.

The gradient of f at w in the direction v is compared with a central difference of five points,

    g · v  ≈  (8 (f(w + hv) - f(w - hv)) - (f(w + 2hv) - f(w - 2hv))) / 12h,

f being Σ y · dy for a random dy: an upstream gradient of ones would cancel in every normalisation. Errors are measured
as ‖a - b‖ / ‖b‖ where every element is checked, and relative to ‖g‖ / √n, what a random direction sees, elsewhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..trees import flatten, tree_map
from ..types import Array, Params

TOLERANCE = 1e-7
LARGEST_FOR_EVERY_ELEMENT = 64
ZERO = 1e-12


@dataclass
class Row:
    """One tensor's verdict. how: "every element", "3 directions", or "zero" where both gradients are."""

    name: str
    shape: tuple
    how: str
    error: float
    passed: bool


@dataclass
class GradientCheck:
    """The verdict on the input and on every parameter; print it for a table."""

    rows: list[Row]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every row is within the tolerance."""
        return all(row.passed for row in self.rows)

    @property
    def worst(self) -> float:
        """The largest relative error."""
        return max(row.error for row in self.rows)

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'tensor':{width}}  {'shape':>18}  {'checked':>13}  relative error"]
        lines += [f"{r.name:{width}}  {r.shape!s:>18}  {r.how:>13}  {r.error:.1e}  {'ok' if r.passed else 'WRONG'}"
                  for r in self.rows]
        verdict = "all right" if self.passed else "WRONG: " + ", ".join(r.name for r in self.rows if not r.passed)
        return "\n".join([*lines, f"{verdict}; largest {self.worst:.1e}, allowed {self.tolerance:.0e}"])


def gradient_check(section: Any, x: Array, params: Params | None = None, *args: Any, directions: int = 3,
                   tolerance: float = TOLERANCE, seed: int = 0, **kwargs: Any) -> GradientCheck:
    """Compare a backward pass with finite differences of its forward pass, in float64. Returns a GradientCheck.

    section: a module, model or any object with forward and backward, such as minivit.attention. x and params: its
    input and parameters (a model brings its own); args and kwargs go to forward: gradient_check(attention, x, params,
    num_heads=2). Tensors of up to 64 numbers are checked element by element, larger ones in random directions.
    Raises ValueError where the gradients' names are not the parameters'.
    """
    rng = np.random.default_rng(seed)
    x = np.array(x, np.float64)
    is_model = hasattr(section, "params")
    if is_model:
        section, params = section.astype("float64"), section.params
    given = [] if params is None else [tree_map(lambda a: np.array(a, np.float64), params)]

    def run():
        if is_model:
            return section.with_params(*given).forward(x)
        return section.forward(x, *given, *args, **kwargs)

    y, cache = run()
    dy = rng.standard_normal(y.shape)
    result = section.backward(dy, cache)
    dx, grads = result if isinstance(result, tuple) else (result, {})
    tensors, gradients = flatten(*given) if given else {}, flatten(grads)
    if sorted(tensors) != sorted(gradients):
        raise ValueError(f"gradients are named {sorted(gradients)}, parameters {sorted(tensors)}")

    pairs = {"x": (x, dx), **{name: (tensors[name], gradients[name]) for name in tensors}}
    largest = max(float(np.abs(g).max()) for _, g in pairs.values())
    rows = []
    for name, (w, g) in pairs.items():
        if g.shape != w.shape:
            raise ValueError(f"the gradient of {name} has the shape {g.shape}, the tensor {w.shape}")
        rows.append(_check(name, w, g, lambda: run()[0], dy, directions, tolerance, largest, rng))
    return GradientCheck(rows, tolerance)


def _check(name, w, g, output, dy, directions, tolerance, largest, rng):
    """The Row of one tensor w with gradient g. `output` computes y anew from the tensors as they are."""
    every = w.size <= LARGEST_FOR_EVERY_ELEMENT
    vs = np.eye(w.size) if every else rng.standard_normal((directions, w.size))
    vs /= np.linalg.norm(vs, axis=1, keepdims=True)
    numeric = np.array([_slope(w, v.reshape(w.shape), output, dy) for v in vs])
    by_hand = vs @ g.ravel()
    if np.abs(g).max() <= ZERO * largest and np.abs(numeric).max() <= 1e-9 * largest:
        return Row(name, w.shape, "zero", 0.0, True)
    scale = np.linalg.norm(numeric) if every else np.linalg.norm(g) / np.sqrt(w.size)
    error = (np.linalg.norm(numeric - by_hand) if every else np.abs(numeric - by_hand).max()) / max(scale, 1e-300)
    how = "every element" if every else f"{directions} directions"
    return Row(name, w.shape, how, float(error), bool(error <= tolerance))


def _slope(w, v, output, dy):
    """The directional derivative of Σ y · dy at w along v; w is moved in place and put back."""
    kept = w.copy()
    h = 1e-3 * max(float(np.sqrt(np.mean(w * w))), 1e-2)
    ys = {}
    for k in (-2, -1, 1, 2):
        w[...] = kept + k * h * v
        ys[k] = output().copy()                                         # a section may return its input itself
    w[...] = kept
    # Differences are taken before the sum over dy: y(w + hv) and y(w - hv) agree in most digits.
    return float(((8 * (ys[1] - ys[-1]) - (ys[2] - ys[-2])) * dy).sum() / (12 * h))
