"""Where CuPy is installed, which needs no GPU: the table and the stand-in of the tests are what CuPy itself is.

`pip install "minivit[cuda12]"` brings it. Kernels need a GPU: tests/gpu runs them.
"""

import numpy as np
import pytest

from minivit import attention, gelu
from minivit.engine.devices import device_of
from minivit.engine.gpu import kernel_source, kernels
from minivit.engine.gpu.kernels import fused
from minivit.engine.tiles import by_rows
from minivit.training.optimiser import sum_of_squares
from tests import cupy_signatures
from tests.engine.test_cupy_signatures import SOURCES, misfits, run_everything
from tests.strict_array import ASSIGNMENT, on_device

cupy = pytest.importorskip("cupy", reason='CuPy is not installed: pip install "minivit[cuda12]" (it needs no GPU)')
without_gpu = pytest.mark.skipif(cupy.is_available(), reason="a GPU is here: tests/gpu runs the real thing (make gpu)")


def test_cupy_has_every_call_of_the_source():
    real = cupy_signatures.from_cupy(cupy)
    assert [line for path in SOURCES for line in misfits(path.read_text("utf-8"), real, path.name)] == []


def test_cupy_has_every_call_of_a_run():
    calls, real, stored = run_everything(), cupy_signatures.from_cupy(cupy), cupy_signatures.stored()["signatures"]
    assert hasattr(cupy.ndarray, "__setitem__")
    calls.pop(ASSIGNMENT)                                               # which has no signature to compare
    assert sorted(name for name in calls if name not in real) == []
    assert {name: real[name] for name in calls} == {name: stored[name] for name in calls}, \
        f"CuPy {cupy.__version__} differs from the stored table: python -m tests.cupy_signatures writes it anew"


@pytest.fixture
def borrowed():
    """A real CuPy array over host memory: without a GPU its views and its error messages work, and no kernel does."""
    host = np.zeros((2, 5, 24), np.float32)
    memory = cupy.cuda.UnownedMemory(host.ctypes.data, host.nbytes, host, 0)
    return cupy.ndarray(host.shape, host.dtype, cupy.cuda.MemoryPointer(memory, 0))


@without_gpu
@pytest.mark.parametrize("code", [
    "np.exp(x, out=x)", "np.subtract(x, x, out=x)", "np.sqrt(x)", "np.maximum(x, 1.0)", "np.minimum(1.0, x)", "x * 0.5",
    "np.float32(2) * x", "x.sum(axis=-1, keepdims=True)", "x.mean(axis=(0, 1))", "x.max(axis=-1, keepdims=True)",
    "np.empty_like(x, order='C')", "np.zeros_like(x, shape=(3, 4))", "np.concatenate([x, x], axis=1)",
    "np.where(x <= 0.5, x, x)", "np.copysign(x, x)", "np.tanh(x, out=x)", "np.log(x + 1)", "np.arange(3, like=x)",
    "np.asarray(np.ones(3), like=x)", "np.identity(3, x.dtype, like=x)", "np.zeros(3, like=x)", "(x[:, :1] == x)",
    "x.__setitem__((slice(None), 0), x[:, 1])", "x.astype(np.float64)",
])
def test_numpys_protocols_lead_to_cupy(borrowed, code):
    # The call gets as far as the missing driver: a function or keyword that CuPy lacks is a TypeError before that.
    with pytest.raises(RuntimeError, match=r"cudaErrorInsufficientDriver|cudaErrorNoDevice"):
        eval(code, {"np": np, "x": borrowed})
    eval(code, {"np": np, "x": on_device(np.zeros((2, 5, 24), np.float32))})


@without_gpu
@pytest.mark.parametrize("code", [
    "np.asarray(x)", "np.exp(x, where=True)", "np.sum(x, where=True)", "np.clip(x, min=0)", "np.eye(3, like=x)",
    "x.max(initial=0)",
])
def test_cupy_refuses_what_the_stand_in_refuses(borrowed, code):
    with pytest.raises(TypeError):
        eval(code, {"np": np, "x": borrowed})
    with pytest.raises(TypeError):
        eval(code, {"np": np, "x": on_device(np.zeros((2, 5, 24), np.float32))})


@without_gpu
def test_chains_lead_to_cupys_kernels(borrowed, monkeypatch):
    monkeypatch.setattr(kernels, "_programs", {})
    monkeypatch.setattr(kernel_source, "cupy", lambda: cupy)            # minivit's own asks for a GPU first
    for function in (gelu.erf_form, gelu.tanh_form):
        with pytest.raises(RuntimeError, match=r"cudaErrorInsufficientDriver|cudaErrorNoDevice"):
            by_rows(function, borrowed, borrowed, borrowed)
    with pytest.raises(RuntimeError, match=r"cudaErrorInsufficientDriver|cudaErrorNoDevice"):
        fused(sum_of_squares, borrowed)
    assert [program.name for program in kernels._programs.values()] == ["minivit_erf_form", "minivit_tanh_form",
                                                                        "minivit_sum_of_squares"]


@without_gpu
def test_heads_are_views_of_a_cupy_array_too(borrowed):
    query, key, value = attention.split_heads(borrowed, num_heads=2)
    assert [part.shape for part in (query, key, value)] == [(2, 2, 5, 4)] * 3
    assert [part.data.ptr - borrowed.data.ptr for part in (query, key, value)] == [0, 8 * 4, 16 * 4]
    merged = attention.merge_view(borrowed, num_heads=4)
    assert merged.shape == (2, 4, 5, 6) and merged.data.ptr == borrowed.data.ptr
    assert device_of(borrowed) == "cuda"
