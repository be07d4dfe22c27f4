"""What a function does to its arrays, recorded: the arithmetic alone, as values that are made of other values.

A function is called once with `Recorded` arrays. NumPy's protocols bring every NumPy function here, and nothing is
computed: each result is a `Value` that knows its operation and operands. `kernels.py` makes GPU kernels of them.
What cannot stand in such a kernel raises TypeError here: nothing is left out in silence.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.lib.mixins import NDArrayOperatorsMixin

# NumPy's functions, as expressions that C++ and Python both read. T is the arrays' type.
OPERATIONS = {
    "add": "({} + {})", "subtract": "({} - {})", "multiply": "({} * {})", "divide": "({} / {})", "negative": "(-{})",
    "exp": "exp({})", "tanh": "tanh({})", "sqrt": "sqrt({})", "absolute": "absolute({})",
    "minimum": "minimum({}, {})", "maximum": "maximum({}, {})", "copysign": "copysign({}, {})",
    "less_equal": "({} <= {})", "clip": "clip({}, {}, {})", "where": "where({}, {}, {})",
}


@dataclass(frozen=True, eq=False)
class Value:
    """One value of a chain.

    text: its expression, with {} for each operand. shape: of the array that it would be. kind: "T", or "bool" for a
    comparison, or "number" for one that is no array. reduction: ("sum" | "mean" | "max", axis, keepdims), or None.
    """

    text: str
    operands: tuple = ()
    shape: tuple = ()
    kind: str = "T"
    reduction: tuple | None = None


class Recorded(NDArrayOperatorsMixin):
    """An array, or a number, that a recorded function is given or makes. value: what it holds so far."""

    def __init__(self, value, dtype):
        self.value = value
        self.dtype = dtype

    @property
    def ndim(self):
        """The number of axes. Their lengths are no business of the chain: the same kernel serves every batch."""
        return len(self.value.shape)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        if method != "__call__" or keywords:
            raise TypeError(f"a kernel has no np.{ufunc.__name__}.{method} with {sorted(keywords)}")
        return self._operation(ufunc.__name__, inputs, None if out is None else out[0])

    def __array_function__(self, function, types, args, keywords):
        out = keywords.pop("out", None)
        if keywords:
            raise TypeError(f"a kernel has no np.{function.__name__} with {sorted(keywords)}")
        return self._operation(function.__name__, args, out)

    def _operation(self, name, inputs, out):
        if name not in OPERATIONS or len(inputs) != OPERATIONS[name].count("{}"):
            raise TypeError(f"a kernel has no np.{name} of {len(inputs)} operands: it has {', '.join(OPERATIONS)}")
        operands = tuple(self._operand(x) for x in inputs)
        if all(o.kind == "number" for o in operands):
            raise TypeError(f"np.{name} of numbers alone: compute it before, in full precision and only once")
        if [o.kind == "bool" for o in operands] != [name == "where" and i == 0 for i in range(len(operands))]:
            raise TypeError(f"np.{name} of a comparison: only np.where's first operand is one")
        shape = np.broadcast_shapes(*(o.shape for o in operands))
        result = Recorded(Value(OPERATIONS[name], operands, shape, "bool" if name == "less_equal" else "T"), self.dtype)
        return result if out is None else self._written(out, result)

    def _operand(self, x):
        if isinstance(x, Recorded):
            return x.value
        if isinstance(x, (int, float)) and not isinstance(x, (bool, np.generic)):
            if not math.isfinite(x):
                raise TypeError(f"{x} in a kernel's source")
            return Value(f"T({float(x)!r})", kind="number")
        raise TypeError(f"a kernel takes its own arrays and Python numbers, found {type(x).__name__}")

    @staticmethod
    def _written(target, source):
        if not isinstance(target, Recorded):
            raise TypeError(f"the output of a kernel is one of its own arrays, found {type(target).__name__}")
        new, old = source.value, target.value
        if (new.shape, new.kind) != (old.shape, old.kind):
            raise TypeError(f"{new.kind} {new.shape} written to {old.kind} {old.shape}")
        target.value = new
        return target

    def __setitem__(self, index, source):
        if index is not Ellipsis or not isinstance(source, Recorded):
            raise TypeError(f"a kernel assigns whole arrays to [...], found [{index!r}] = {type(source).__name__}")
        self._written(self, source)

    def __bool__(self):
        raise TypeError("a kernel cannot be asked for a number while it is made")

    def sum(self, axis=None, keepdims=False):
        """As np.sum."""
        return self._reduction("sum", axis, keepdims)

    def mean(self, axis=None, keepdims=False):
        """As np.mean."""
        return self._reduction("mean", axis, keepdims)

    def max(self, axis=None, keepdims=False):
        """As np.max."""
        return self._reduction("max", axis, keepdims)

    def _reduction(self, name, axis, keepdims):
        axes = range(self.ndim) if axis is None else normalize_axis_tuple(axis, self.ndim)
        shape = tuple(1 if i in axes else n for i, n in enumerate(self.value.shape) if keepdims or i not in axes)
        return Recorded(Value("{}", (self.value,), shape, reduction=(name, axis, keepdims)), self.dtype)
