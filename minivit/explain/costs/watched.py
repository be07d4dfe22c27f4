"""An array that is none of NumPy's and computes nothing by itself: it notes what NumPy asks of it, and passes it on.

`np.exp(x)` looks for `__array_ufunc__` in the type of x, `np.concatenate` for `__array_function__`, and both leave the
work to what they find (NEP 13, NEP 18): that is how the sections run on CuPy's arrays. Here the work goes to the NumPy
array inside. As CuPy's arrays do, these refuse to become NumPy arrays in silence.
"""

import itertools
import sys
from typing import NamedTuple

import numpy as np

from ...trees import tree_map
from .call_sheet import NO_KERNEL as VIEWS


class Call(NamedTuple):
    """One call: the function, the section that made it, what it computes, and what it reads and writes.

    module: the section's; what the engine does for a section, erf or a mean, counts as the section's own.
    chain: (number, name) of the function that the engine would make kernels of, or None outside of such a function.
    made: the bytes of the result.
    """

    name: str
    module: str
    flops: int
    bytes: int
    made: int
    chain: tuple | None


class Watched(np.lib.mixins.NDArrayOperatorsMixin):                     # the mixin makes np.multiply(x, y) of x * y
    """A NumPy array, watched. Its calls are appended to `Watched.calls`."""

    calls = []

    def __init__(self, array):
        self.inside = array

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):      # np.exp, np.add, np.matmul, …
        return note(ufunc.__name__, getattr(ufunc, method), inputs, keywords)

    def __array_function__(self, function, types, args, keywords):      # np.concatenate, np.empty_like, …
        return note(function.__name__, function, args, keywords)

    def __getattr__(self, name):                                        # x.shape, x.reshape(…), x.sum(…), …
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self.inside, name)
        if callable(value):
            return lambda *args, **keywords: note(name, value, (self, *args), keywords, bound=True)
        return Watched(value) if isinstance(value, np.ndarray) else value             # x.T

    def __getitem__(self, place):
        return Watched(self.inside[place])

    def __setitem__(self, place, value):
        target, source = self.inside[place], unwrapped(value)
        if not (isinstance(source, np.ndarray) and np.may_share_memory(target, source)):
            note("copy", self.inside.__setitem__, (place, value), {})
        # else x[part] += y ends here: what would be copied is there already.

    def __len__(self):
        return len(self.inside)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion to a NumPy array: nothing moves by itself")


def note(name, function, args, keywords, bound=False):
    """Append the Call and return what the function returns, arrays as Watched. bound: args[0] is the method's own."""
    plain = unwrapped(args)
    result = function(*plain[bound:], **unwrapped(keywords))
    arrays = [a for a in _leaves(plain) if isinstance(a, np.ndarray)]
    made = result.nbytes if isinstance(result, np.ndarray) else sum(a.nbytes for a in arrays) if name == "copy" else 0
    module, chain = _caller()
    flops = 0 if name in (*VIEWS, "copy", "concatenate", "zeros_like") else \
        2 * result.size * plain[0].shape[-1] if name == "matmul" else max((a.size for a in arrays), default=0)
    moved = 0 if name in VIEWS else sum(a.nbytes for a in arrays) + made
    Watched.calls.append(Call(name, module, flops, moved, made, chain))
    return tree_map(Watched, result) if isinstance(result, (np.ndarray, list)) else result


def recorded(function, *args, **keywords):
    """(what the function returns, the Calls that it made) for arguments that are Watched."""
    Watched.calls.clear()
    result = function(*args, **keywords)
    return result, list(Watched.calls)


def unwrapped(value):
    """The value with the arrays inside in place of Watched ones."""
    if isinstance(value, (tuple, list)):
        return type(value)(unwrapped(one) for one in value)
    if isinstance(value, dict):
        return {key: unwrapped(one) for key, one in value.items()}
    return value.inside if isinstance(value, Watched) else value


def _leaves(value):
    return itertools.chain.from_iterable(map(_leaves, value)) if isinstance(value, (tuple, list)) else (value,)


def _caller():
    """(the section of minivit that called, the chain it is in): looked up in the stack of Python's frames."""
    frame, module, chain = sys._getframe(2), None, None
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if module is None and name.startswith("minivit.") and not name.startswith(("minivit.engine.", __name__)):
            module = name
        if name == "minivit.engine.gpu.kernels" and frame.f_code.co_name == "fused":
            chain = id(frame), frame.f_locals["function"].__name__
        frame = frame.f_back
    return module or "", chain
