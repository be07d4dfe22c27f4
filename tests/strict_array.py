"""A strict stand-in for CuPy: arrays that compute with NumPy but refuse all that CuPy's arrays refuse.

It is no ndarray subclass. NumPy's protocols (NEP 13 and 18) lead functions to it, as they lead them to CuPy, and it
raises TypeError for implicit conversion to NumPy, for host arrays among the operands, for an output on the other
side, and for functions, methods and keywords that CuPy's signatures do not have. Results are stand-ins, 0-d ones too.
Explicit moves, and what makes a GPU wait, such as float(x), work and are counted: see `watched`.
"""

import types
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from . import cupy_signatures, strict_kernels

EXPLICIT_MOVES = ("asarray", "array")
SCALARS = (bool, int, float, complex, np.generic)
READS = ("get", "item", "tolist", "tobytes")
NO_KERNEL = {"ndarray.reshape", "ndarray.transpose", "ndarray.swapaxes", "broadcast_to", "split", "empty_like"}
ASSIGNMENT = "ndarray.__setitem__"                                      # a copy within the device, or a fill
ATTRIBUTES = ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "flags")


@dataclass
class Watch:
    """Moves to the device, reads back from it (float(x), a mask and the like included), calls and kernels by name."""

    to_device: int = 0
    to_host: int = 0
    calls: Counter = field(default_factory=Counter)
    fused: Counter = field(default_factory=Counter)                     # ElementwiseKernels and ReductionKernels

    def started(self):
        """How many kernels a GPU would have started: one per call, unless it makes a view or sets memory aside.

        A copy from array to array on the GPU counts as one; moves to and from it are told apart, but count too.
        """
        return sum(count for name, count in self.calls.items() if name not in NO_KERNEL) + self.fused.total()


_watches = []


@contextmanager
def watched():
    """A Watch over all stand-ins inside the block."""
    watch = Watch()
    _watches.append(watch)
    try:
        yield watch
    finally:
        _watches.remove(watch)


class StrictArray(NDArrayOperatorsMixin):
    """The stand-in for cupy.ndarray."""

    __slots__ = ("_host",)

    def __init__(self, host):
        self._host = host

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed: use .get()")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        if method != "__call__":
            raise TypeError(f"CuPy has no {method} for every ufunc, so none is taken here: {ufunc.__name__}.{method}")
        if not all(isinstance(x, (StrictArray, np.ndarray, *SCALARS)) for x in inputs):
            raise TypeError(f"CuPy's {ufunc.__name__} takes arrays and numbers, found {[type(x) for x in inputs]}")
        keywords |= {} if out is None else {"out": out[0]}
        _check_call(ufunc.__name__, inputs, keywords)
        return _to_device(ufunc(*_to_host(inputs), **_to_host(keywords)), keywords.get("out"))

    def __array_function__(self, function, types, args, keywords):
        name = ".".join([*function.__module__.split(".")[1:], function.__name__])
        if name in EXPLICIT_MOVES and not isinstance(args[0], StrictArray):
            cupy_signatures.check(name, len(args), keywords)
            _count(name, to_device=1)
            return StrictArray(np.array(function(*args, **keywords)))
        _check_call(name, args, keywords)
        return _to_device(function(*_to_host(args), **_to_host(keywords)), keywords.get("out"))

    def __getattr__(self, name):
        if name in ATTRIBUTES:
            return getattr(self._host, name)
        if name not in ("T", "mT") and cupy_signatures.METHOD + name not in cupy_signatures.stored()["signatures"]:
            raise AttributeError(f"CuPy's arrays have no attribute {name!r}")
        if name in ("T", "mT"):
            return StrictArray(getattr(self._host, name))

        def method(*args, **keywords):
            _check_call(cupy_signatures.METHOD + name, args, keywords)
            if name in READS:
                _count(to_host=1)
                return self._host.copy() if name == "get" else getattr(self._host, name)(*args, **keywords)
            result = getattr(self._host, name)(*_to_host(args), **_to_host(keywords))
            if result is self._host:                                   # astype to its own dtype, without a copy
                _count(cupy_signatures.METHOD + name, by=-1)
            return _to_device(result, keywords.get("out"))

        return method

    def __getitem__(self, index):
        return _to_device(self._host[_indices(self._host, index)])

    def __setitem__(self, index, value):
        if not isinstance(value, (StrictArray, *SCALARS)):
            raise TypeError(f"assignment to a CuPy array takes a CuPy array or a number, found {type(value).__name__}")
        place, value = _indices(self._host, index), _to_host(value)
        if not _is_there_already(self._host[place], value):             # as x[part] += y ends
            _count(ASSIGNMENT)
        self._host[place] = value

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def _read(self):
        _count(to_host=1)
        return self._host

    def __bool__(self):
        return bool(self._read())

    def __int__(self):
        return int(self._read())

    def __index__(self):
        return self._read().__index__()

    def __float__(self):
        return float(self._read())

    def __repr__(self):
        return f"StrictArray({self._read()!r})"

    def __format__(self, specification):
        return format(self._read(), specification)


def fake_cupy():
    """A module to stand in sys.modules["cupy"]: CuPy with one GPU, whose arrays are StrictArrays."""
    runtime = types.SimpleNamespace(
        CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {}), getDeviceCount=lambda: 1,
        getDevice=lambda: 0, getDeviceProperties=lambda number: {"name": b"Stand-in GPU", "totalGlobalMem": 8 << 30},
        driverGetVersion=lambda: 12040, runtimeGetVersion=lambda: 12040, deviceSynchronize=lambda: None)
    cupy = types.ModuleType("cupy")
    cupy.__version__ = cupy_signatures.stored()["cupy"]
    cupy.ndarray = StrictArray
    cupy.cuda = types.SimpleNamespace(runtime=runtime)
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_all_blocks=lambda: None)
    cupy.is_available = lambda: True
    cupy.asarray = on_device
    cupy.ElementwiseKernel, cupy.ReductionKernel = strict_kernels.ElementwiseKernel, strict_kernels.ReductionKernel
    return cupy


def on_device(array):
    """A host array as a stand-in with memory of its own: cupy.asarray."""
    if isinstance(array, StrictArray):
        return array
    _count("asarray", to_device=1)
    return StrictArray(np.array(array))


def on_host(value):
    """A stand-in's numbers for comparison, not counted as a read; anything else as it is."""
    return value._host if isinstance(value, StrictArray) else value


def _check_call(name, args, keywords):
    _refuse_host_arrays(name, [*args, *keywords.values()])
    cupy_signatures.check(name, len(args), keywords)
    _count(name)


def _refuse_host_arrays(name, values):
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError(f"{name} of a CuPy array got a NumPy array of shape {value.shape}")
        if isinstance(value, (list, tuple)):
            _refuse_host_arrays(name, value)


def _to_host(value):
    """The arguments for NumPy: stand-ins replaced, inside containers too."""
    if isinstance(value, dict):
        return {name: _to_host(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_to_host(one) for one in value)
    return on_host(value)


def _to_device(value, out=None):
    """NumPy's result as CuPy gives it: `out` where there was one, and 0-d arrays where NumPy gives scalars."""
    if out is not None:
        return out
    if isinstance(value, (np.ndarray, np.generic)):
        return StrictArray(np.asarray(value))
    if isinstance(value, (list, tuple)):
        return type(value)(_to_device(one) for one in value)
    return value


def _is_there_already(target, value):
    """Whether an assignment would copy an array onto itself, which CuPy leaves undone."""
    return isinstance(value, np.ndarray) and isinstance(target, np.ndarray) and (
        target.__array_interface__["data"], target.shape, target.strides) == (
        value.__array_interface__["data"], value.shape, value.strides)


def _indices(host, index):
    """An index for NumPy. Integer arrays wrap around the axis as CuPy's do; a mask's size must be read back."""
    parts = index if isinstance(index, tuple) else (index,)
    _refuse_host_arrays("indexing", parts)
    axis, converted = 0, []
    for part in parts:
        if isinstance(part, StrictArray):
            if part.dtype == bool:
                _count(to_host=1)
                converted.append(part._host)
                axis += part.ndim
                continue
            part = part._host % host.shape[axis]
        if part is Ellipsis:
            axis = host.ndim - sum(1 for p in parts[len(converted) + 1:] if p is not None)
        elif part is not None:
            axis += 1
        converted.append(part)
    return tuple(converted)


def _count(name=None, to_device=0, to_host=0, by=1):
    for watch in _watches:
        watch.to_device += to_device
        watch.to_host += to_host
        if name is not None:
            watch.calls[name] += by


def count_kernel(name):
    """Count a start of a fused kernel."""
    for watch in _watches:
        watch.fused[name] += 1
