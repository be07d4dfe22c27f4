"""Where arrays live. The sections call NumPy's functions; given CuPy arrays, these run CuPy's (NumPy's NEP 13 and 18).

So there is one source for CPU and GPU and no switch: the arrays decide. Moves are explicit, and made here.
"""

import numpy as np


def device_of(array):
    """"cpu" for NumPy arrays, "cuda" for CuPy's."""
    return "cpu" if isinstance(array, np.ndarray) else "cuda"


def to_device(array, device):
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
    except ImportError:
        raise RuntimeError('device "cuda" needs CuPy: pip install "minivit[cuda12]" or "minivit[cuda13]", '
                           "whichever your driver supports") from None
    if not cupy.is_available():
        raise RuntimeError('device "cuda" needs an NVIDIA GPU with a driver, and CuPy finds none; use "cpu"')
    return cupy


def check_same_device(array, params_array, name):
    """Raises ValueError, naming `.to`, where an array and the model's weights live on different devices."""
    if type(array) is not type(params_array):
        here, there = device_of(array), device_of(params_array)
        raise ValueError(f"{name} is on {here!r} and the model on {there!r}: "
                         f'move the model with model.to("{here}"), or prepare the input with model.prepare')
