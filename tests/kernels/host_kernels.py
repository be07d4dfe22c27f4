"""CuPy's own CUDA source of minivit's kernels, compiled for the processor and run there: no GPU is needed.

CuPy makes the source and its headers do the indexing, as on a GPU. A C++ compiler takes the place of NVRTC, and a loop
that of the threads: a kernel runs as one block of one thread. Multiplication and addition may be contracted to one
rounding, as NVRTC does it. The arrays are the stand-in's.
"""

import ctypes
import functools
import hashlib
import subprocess
import tempfile
from pathlib import Path

import cupy
import numpy as np
from cupy._core import _carray, _kernel, _reduction, _scalar
from numpy.lib.array_utils import normalize_axis_tuple

from tests import strict_array, strict_kernels

HEADERS = Path(cupy.__file__).parent / "_core" / "include"
FOLDER = tempfile.TemporaryDirectory(prefix="minivit-kernels-")          # gone when Python ends
ARRAY, INDEXER, SCALAR = 1, 2, 3                                        # CuPy's numbers of the kinds of arguments

# What CUDA has and C++ has not.
SHIM = """
#include <cassert>
#include <cstddef>
#include <cstring>
#include <math.h>
#define __host__
#define __device__
#define __global__
#define __shared__
#define __forceinline__ inline
#define __syncthreads()
#define __popc __builtin_popcount
#define __popcll __builtin_popcountll
static const struct { unsigned x; } threadIdx = {0}, blockIdx = {0}, blockDim = {1}, gridDim = {1};
#include <cupy/carray.cuh>
"""

sources = {}                                                            # {CUDA source: dtype} of all kernels that ran


class ElementwiseKernel:
    """In the place of cupy.ElementwiseKernel: CuPy's source, run on the processor."""

    def __init__(self, *args, **keywords):
        self.strict = strict_kernels.ElementwiseKernel(*args, **keywords)
        self.cupy = cupy.ElementwiseKernel(*args, **keywords)

    def __call__(self, *args):
        dtype, hosts = strict_kernels.arguments(self.strict, args)
        shape = np.broadcast_shapes(*(np.shape(h) for h in hosts))
        outputs = hosts[len(self.strict.inputs):]
        assert all(out.shape == shape for out in outputs)
        given = [np.broadcast_to(h, shape) if isinstance(h, np.ndarray) else h for h in hosts]
        given[len(self.strict.inputs):] = outputs
        values = [*given, Indexer(shape)]
        source = _kernel._get_elementwise_kernel_code(
            infos(values), types(dtype), self.cupy.params, self.cupy.operation, self.cupy.name, self.cupy.preamble)
        run(source, self.cupy.name, values, dtype)


class ReductionKernel:
    """In the place of cupy.ReductionKernel."""

    def __init__(self, *args, **keywords):
        self.strict = strict_kernels.ReductionKernel(*args, **keywords)
        self.cupy = cupy.ReductionKernel(*args, **keywords)

    def __call__(self, *args, axis=None, keepdims=False):
        dtype, hosts = strict_kernels.arguments(self.strict, args)
        hosts = np.broadcast_arrays(*hosts)
        ndim = hosts[0].ndim
        axes = tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)
        others = tuple(i for i in range(ndim) if i not in axes)
        inputs = [h.transpose(axes + others) for h in hosts]            # as CuPy does: what is reduced comes first
        out = np.empty([hosts[0].shape[i] for i in others], dtype)
        values = [*inputs, out, Indexer(inputs[0].shape), Indexer(out.shape), np.int32(1)]
        k = self.cupy
        source = _reduction._ReductionKernel_get_cached_function_code(
            k.nin, k.nout, k._params, infos(values), types(dtype, ("IndexT", np.int32)), k.name, 1, k.reduce_type,
            k.identity, k.map_expr, k.reduce_expr, k.post_map_expr, k.preamble, k.options)
        run(source, k.name, values, dtype)
        return strict_array.StrictArray(np.expand_dims(out, axes) if keepdims else out)


class Indexer(tuple):
    """A shape, for CuPy's CIndexer."""


def infos(values):
    """CuPy's notes of a kernel's arguments."""
    def info(value):
        if isinstance(value, Indexer):
            return _kernel._ArgInfo(INDEXER, _carray.Indexer, None, len(value), True, True)
        if isinstance(value, np.generic):
            return _kernel._ArgInfo(SCALAR, _scalar.CScalar, value.dtype, 0, True, True)
        return _kernel._ArgInfo(ARRAY, cupy.ndarray, value.dtype, value.ndim, value.flags.c_contiguous, True)
    return tuple(info(value) for value in values)


def types(dtype, *others):
    """CuPy's map of the kernel's names of types."""
    return _kernel._TypeMap((("T", dtype.type), *others))


def run(source, name, values, dtype):
    """Run a kernel on host arrays, numbers and shapes."""
    sources[source] = dtype
    arguments, numbers, pointers = [], [], []
    for value in values:
        if isinstance(value, Indexer):
            arguments.append(f"CIndexer<{len(value)}, 1>(n + {len(numbers)})")
            numbers += value
        elif isinstance(value, np.generic):
            arguments.append(f"*({C_TYPES[value.dtype.name]}*)p[{len(pointers)}]")
            pointers.append(np.array(value))
        else:
            parts = f"CArray<{C_TYPES[value.dtype.name]}, {value.ndim}, {int(value.flags.c_contiguous)}, 1>"
            at = len(numbers)
            arguments.append(f"{parts}(({C_TYPES[value.dtype.name]}*)p[{len(pointers)}], n + {at}, "
                             f"n + {at + value.ndim})")
            numbers += [*value.shape, *value.strides]
            pointers.append(value)
    wrapper = f'extern "C" void start(void** p, const ptrdiff_t* n) {{ {name}({", ".join(arguments)}); }}'
    library(SHIM + source + wrapper).start(
        (ctypes.c_void_p * len(pointers))(*[a.ctypes.data for a in pointers]),
        (ctypes.c_ssize_t * max(1, len(numbers)))(*numbers))


C_TYPES = {"float32": "float", "float64": "double", "int32": "int"}


@functools.cache
def library(source):
    """The source, compiled for this processor."""
    path = Path(FOLDER.name) / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.so"
    command = ["c++", "-std=c++17", "-O2", "-march=native", "-ffp-contract=fast", "-DNDEBUG", "-w", "-shared", "-fPIC",
               f"-I{HEADERS}", "-x", "c++", "-", "-o", str(path)]
    done = subprocess.run(command, input=source, encoding="utf-8", capture_output=True)
    assert done.returncode == 0, f"{done.stderr}\n{source}"
    return ctypes.CDLL(str(path))
