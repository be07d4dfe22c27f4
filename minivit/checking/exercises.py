"""The verdict on an exercise: what somebody wrote, beside what it should give."""

from typing import Any

import numpy as np

TOLERANCE = 1e-10
MANY = 12


def check(yours: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Print how far `yours` is from what is expected, tensor by tensor, and what the difference looks like.

    Both are arrays, numbers, or dicts, lists and tuples of these. The measure is ‖yours − expected‖ / ‖expected‖; it is
    right up to `tolerance`. None stands for an exercise not yet begun. A wrong answer is told, never raised. Of more
    than MANY tensors the right ones are told in one line.
    """
    if yours is None or yours is Ellipsis:
        print("nothing to check yet: replace the ... by your own lines")
        return
    verdicts = {name: _verdict(found, right, tolerance) for name, found, right in _pairs(yours, expected)}
    right = [verdict for verdict in verdicts.values() if verdict.startswith("right")]
    for name, verdict in verdicts.items():
        if len(verdicts) <= MANY or not verdict.startswith("right"):
            print((f"{name}: " if name else "") + verdict)
    if len(verdicts) > MANY:
        largest = max([float(verdict.rpartition(" ")[2]) for verdict in right], default=0.0)
        print(f"{len(right)} of {len(verdicts)} tensors right"
              + (f", relative difference at most {largest:.1e}" if right else ""))


def _pairs(yours, expected, name=""):
    """(name, yours, expected) of each array, found along what is expected; None for what is missing."""
    if not isinstance(expected, (dict, list, tuple)):
        yield name, yours, np.asarray(expected)
        return
    children = expected.items() if isinstance(expected, dict) else enumerate(expected)
    for key, child in children:
        try:
            own = yours[key]
        except (KeyError, IndexError, TypeError):
            own = None
        yield from _pairs(own, child, f"{name}.{key}" if name else str(key))
    for key in _surplus(yours, expected):
        yield f"{name}.{key}" if name else str(key), yours[key], None


def _surplus(yours, expected):
    """The keys, or the places behind the last one, that `expected` does not have."""
    if isinstance(expected, dict):
        return [key for key in yours if key not in expected] if isinstance(yours, dict) else []
    is_long = isinstance(yours, (list, tuple)) or (isinstance(yours, np.ndarray) and yours.ndim)
    return range(len(expected), len(yours)) if is_long else []


def _verdict(found, right, tolerance):
    if right is None:
        return "not asked for"
    if found is None or found is Ellipsis:
        return "nothing yet"
    kind = type(found).__name__
    try:
        found = np.asarray(found)
    except Exception:               # an answer may be any object, and what NumPy asks of it may raise anything
        found = np.array(None)
    if found.dtype == object:
        return f"WRONG: found a {kind} that makes no array of numbers, expected one of shape {right.shape}"
    if found.shape != right.shape:
        return f"WRONG: the shape is {found.shape}, expected {right.shape}"
    if found.dtype.kind not in "biuf":
        return f"WRONG: expected numbers, found dtype {found.dtype}"
    if not np.isfinite(found).all():
        return f"WRONG: {np.count_nonzero(~np.isfinite(found))} of {found.size} numbers are not finite"
    size = np.linalg.norm(right.ravel().astype(float))
    difference = np.linalg.norm((found.astype(float) - right).ravel())
    error = difference / size if size else difference
    if error <= tolerance:
        return f"right: shape {right.shape}, relative difference {error:.1e}"
    largest = np.abs(found.astype(float) - right).max()
    return (f"WRONG: relative difference {error:.1e} (allowed {tolerance:.0e}), largest {largest:.1e}"
            f"{_resemblance(found.astype(float), right.astype(float), tolerance)}")


def _resemblance(found, right, tolerance):
    """What the wrong array is, where it is the right one in disguise."""
    size = np.linalg.norm(right.ravel())
    scale = (found * right).sum() / size ** 2 if size else 0.0

    def near(array):
        return np.linalg.norm((found - array).ravel()) <= tolerance * size

    if scale and near(scale * right):
        return f"; it is {scale:.6g} times the right answer"
    for a, b in ((i, j) for i in range(right.ndim) for j in range(i)):
        if right.shape[a] == right.shape[b] and near(right.swapaxes(a, b)):
            return f"; axes {b} and {a} are swapped"
    if right.ndim and near(right[::-1]):
        return "; the first axis runs backwards"
    for axis in range(right.ndim):
        mean = right.mean(axis=axis, keepdims=True)
        if right.shape[axis] > 1 and near(right - mean):
            return f"; the mean over axis {axis} is missing"
    return ""
