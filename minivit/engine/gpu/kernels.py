"""A GPU's kernels, made from the functions that you read.

On a GPU, one NumPy call is one kernel, and each passes over whole arrays in memory. `fused` runs a function of several
calls in a few kernels: it records what the function does (`recording.py`) and writes this down (`kernel_source.py`),
as one elementwise kernel for all that is assigned and one reduction kernel for each sum or mean on the way. What lies
between is not kept but computed again where it is needed: arithmetic is cheaper than memory. Softmax is three kernels:

    r₁ = max s        r₂ = Σ exp(s - r₁)        a = exp(s - r₁) / r₂

There is no second source: who changes the function changes its kernels. On the CPU, the function itself runs.
"""

import math

import numpy as np

from ...trees import tree_map
from ..devices import is_cupys
from . import kernel_source
from .recording import Recorded, Value

_programs = {}


def fused(function, *arguments):
    """function(*arguments): in as few kernels as can be where the first is CuPy's array, as it is for all others.

    function: writes into its arrays, whole ones, and returns None, or one or several sums, means or maxima. arguments:
    arrays of one dtype, numbers, or None; an array may stand twice, to be read and written. A number that changes
    compiles nothing anew; names of the function's module are constants. Raises TypeError for what cannot be a kernel.
    """
    if not is_cupys(arguments[0]):
        return function(*arguments)
    key, given = _key(function, arguments)
    if key not in _programs:
        _programs[key] = _Program(function, arguments)
    return _programs[key].run(given)


def _key(function, arguments):
    """What kernels depend on, and the arguments with their numbers as floats.

    That is an array's dtype, number of axes and which of them have length 1, which arrays are one, and which shapes are
    equal; no number's value. Every step of a training run asks for it hundreds of times, so it is one loop.
    """
    key, given, arrays, shapes = [function.__code__, function.__defaults__], [], [], []
    for a in arguments:
        if a is None or isinstance(a, (int, float)):
            key.append(a is None)
            given.append(None if a is None else float(a))
            continue
        if not is_cupys(a):
            raise TypeError(f"a kernel takes arrays on the GPU and numbers, found {type(a).__name__}")
        shape = a.shape
        arrays.append(id(a))
        shapes.append(shape)
        key += a.dtype.char, arrays.index(id(a)), shapes.index(shape), 1 in shape and tuple(n == 1 for n in shape)
        key.append(len(shape))
        given.append(a)
    return tuple(key), given


def _is_number(given):
    return isinstance(given, (int, float))


class _Program:
    """The kernels of one function for one kind of arguments, in their order.

    What `run` is given has the places 0, 1, …; the reductions' results come after. places: {Value: place}, of all
    values that are in memory when the next kernel starts.
    """

    def __init__(self, function, arguments):
        self.name = "minivit_" + function.__name__.strip("_<>")
        self.reductions, self.writes, self.searched = [], [], set()
        if any(default is not None for default in function.__defaults__ or ()):
            raise TypeError(f"{function.__name__}: a default would be compiled in, with the value that it has now")
        if function.__closure__:
            raise TypeError(f"{function.__name__} reads names of the functions around it: give them as arguments")
        dtype, recorded, self.initial = _common_dtype(arguments), [], []
        twice = {place: first for place, first in enumerate(_first_places(map(_identity, arguments))) if first < place}
        for place, given in enumerate(arguments):
            if place in twice:                                          # one array: what is written here is read there
                self.initial.append(self.initial[twice[place]])
                recorded.append(recorded[twice[place]])
                continue
            shape, kind = ((), "number") if given is None or _is_number(given) else (given.shape, "T")
            self.initial.append(Value("", (), shape, kind))
            recorded.append(None if given is None else Recorded(self.initial[-1], dtype))
        self.places = {value: place for place, value in reversed(list(enumerate(self.initial)))}
        result = function(*recorded)
        assigned = {place: array.value for place, array in enumerate(recorded)
                    if not (array is None or place in twice or array.value is self.initial[place])}
        # All reductions run before the first write, on what the arrays held before.
        for value in assigned.values():
            self._add_reductions(value)
        self.returned = tree_map(self._returned, list(result) if isinstance(result, tuple) else result)
        # Small arrays first: what stands in them need not be computed again for each element of the large ones.
        for shape in sorted({value.shape for value in assigned.values()}, key=math.prod):
            self._add_write({place: value for place, value in assigned.items() if value.shape == shape})

    def run(self, given):
        """Start the kernels. Returns what the function returns."""
        values = list(given)
        for reduce in self.reductions:
            values.append(reduce(values))
        for kernel, places in self.writes:
            kernel(*[values[place] for place in places])
        result = tree_map(lambda place: None if place is None else values[place], self.returned)
        return tuple(result) if isinstance(result, list) else result

    def _returned(self, result):
        if result is None:
            return None
        if not isinstance(result, Recorded) or result.value.reduction is None:
            raise TypeError("a fused function returns sums, means and maxima: what is elementwise, it writes")
        self._add_reductions(result.value)
        return self.places[result.value]

    def _add_reductions(self, value):
        """Give a place to every reduction that a value is made of, the inner ones first."""
        if value in self.places or value in self.searched:
            return
        self.searched.add(value)
        for operand in value.operands:
            self._add_reductions(operand)
        if value.reduction is not None:
            self.reductions.append(self._reduction(value))
            self.places[value] = len(self.initial) + len(self.reductions) - 1

    def _reduction(self, value):
        """A function of the values in memory that starts the kernels of one sum, mean or maximum."""
        (operand,), (name, axis, keepdims) = value.operands, value.reduction
        if operand in self.places:                                      # an array as it is: CuPy has the kernel
            place = self.places[operand]
            return lambda values: getattr(values[place], name)(axis=axis, keepdims=keepdims)
        kernel, inputs = kernel_source.reduction(self.name, value, self.places)
        return lambda values: kernel(*[values[place] for place in inputs], axis=axis, keepdims=keepdims)

    def _add_write(self, assigned):
        kernel, inputs = kernel_source.elementwise(self.name, assigned, self.places)
        self.writes.append((kernel, [*inputs, *assigned]))
        for place, value in assigned.items():
            del self.places[self.initial[place]]                        # overwritten
            self.places[value] = place


def _identity(argument):
    """What tells whether two arguments are one array. Numbers and None are each their own."""
    return object() if argument is None or _is_number(argument) else id(argument)


def _first_places(values):
    """For each value, the place of the first that equals it: which are equal, and nothing else of them."""
    values = list(values)
    return [values.index(value) for value in values]


def _common_dtype(given):
    dtypes = {g.dtype for g in given if not (g is None or _is_number(g))}
    if len(dtypes) != 1 or not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise TypeError(f"a kernel's arrays are all float32 or all float64, found {sorted(map(str, dtypes))}")
    return dtypes.pop()
