"""Where arrays live. The sections call NumPy's functions; given CuPy arrays, these run CuPy's (NumPy's NEP 13 and 18).

So there is one source for CPU and GPU and no switch: the arrays decide. Moves are explicit, and made here.
"""

import sys
from contextlib import contextmanager

import numpy as np


def device_of(array):
    """"cpu" for NumPy arrays, "cuda" for CuPy's: arrays that follow NumPy's protocols. Raises ValueError for others."""
    if isinstance(array, (np.ndarray, np.generic)):
        return "cpu"
    # Asking for the protocol instead of the class spares those without a GPU the import of CuPy.
    if hasattr(array, "__array_function__"):
        return "cuda"
    raise ValueError(f"expected a NumPy or CuPy array, found {type(array).__module__}.{type(array).__name__}")


def is_cupys(array):
    """Whether CuPy made the array: others may follow NumPy's protocols too, each NumPy call by itself."""
    module = sys.modules.get("cupy")                                    # there is no array of a module not imported
    return module is not None and isinstance(array, module.ndarray)


def to_device(array: np.ndarray, device: str) -> np.ndarray:
    """The array on "cpu" or "cuda" (the current CUDA device). An array that is already there is returned as it is."""
    if device_of(array) == device:
        return array
    if device == "cpu":
        return array.get()
    return cupy().asarray(array)


def cupy():
    """The CuPy module. Raises RuntimeError with what to do where it is missing or finds no GPU."""
    try:
        import cupy
    except ModuleNotFoundError:
        raise RuntimeError('device "cuda" needs CuPy: pip install "minivit[cuda12]" or "minivit[cuda13]", '
                           "whichever your driver supports") from None
    except ImportError as error:
        raise RuntimeError(f"CuPy is installed but cannot be imported: {error}") from None
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError('device "cuda" needs an NVIDIA GPU and a driver that fits CuPy, which says '
                           f'{error}; use "cpu"') from None
    return cupy


def check_same_device(array, params_array, name):
    """Raises ValueError, naming `.to`, where an array and the model's weights live on different devices."""
    here, there = device_of(array), device_of(params_array)
    if here != there:
        raise ValueError(f"{name} is on {here!r} and the model on {there!r}: move the model with "
                         f'model.to("{here}"), or the array with minivit.to_device(array, "{there}")')


@contextmanager
def enough_memory(what):
    """Inside the block, CuPy's and NumPy's MemoryError also say what did not fit, and what to do."""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f"{what} did not fit into memory: {str(error).rstrip('.') or 'out of memory'}; take fewer "
                          "or smaller images at a time, or a smaller model") from None
