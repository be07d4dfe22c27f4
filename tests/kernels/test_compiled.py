"""minivit's kernels without a GPU: CuPy's source of each, run on the processor, and compiled by NVRTC. `make kernels`.

It needs CuPy, NVRTC and CUDA's headers, which are packages, and a C++ compiler. Where one is missing it fails: nothing
is skipped.
"""

import re
from dataclasses import replace

import cupy
import numpy as np
import pytest
from cupy._core import _cub_reduction, _kernel
from cupy.cuda import compiler

from minivit import gelu
from minivit.engine import devices, tiles
from minivit.engine.gpu import kernel_source
from minivit.engine.gpu import kernels as fusing
from minivit.engine.gpu.recording import OPERATIONS, Value
from minivit.training.optimiser import AdamW, clip
from minivit.trees import flatten
from tests.engine.test_devices import BASE, assert_same, batch, models
from tests.gpu.test_gpu import chains
from tests.kernels import host_kernels
from tests.strict_array import StrictArray, fake_cupy, on_device, on_host, watched

pytestmark = pytest.mark.kernels

TOLERANCE = {"float32": 1e-6, "float64": 1e-14}
DOUBLE_ARITHMETIC = re.compile(r"^\s*(?!ld|st|mov)\w+[\w.]*\.f64\b.*$", re.MULTILINE)


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch):
    """The stand-in's arrays, with kernels that are CuPy's source, compiled for the processor."""
    module = fake_cupy()
    module.ElementwiseKernel, module.ReductionKernel = host_kernels.ElementwiseKernel, host_kernels.ReductionKernel
    for user in (devices, kernel_source):                               # and not in sys.modules: CuPy imports itself
        monkeypatch.setattr(user, "cupy", lambda: module)
    monkeypatch.setattr(fusing, "is_cupys", lambda array: isinstance(array, StrictArray))
    monkeypatch.setattr(fusing, "_programs", {})


def relative_error(found, expected):
    return np.linalg.norm(on_host(found) - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_a_model_in_float64(form):
    model, device_model = models(replace(BASE, gelu=form), "float64")
    x, _ = batch(BASE, "float64")
    t = np.eye(5)[:3]
    assert_same({"logits": device_model(on_device(x))}, {"logits": model(x)}, "float64")
    value, grads = model.loss_and_gradients(x, t)
    device_value, device_grads = device_model.loss_and_gradients(on_device(x), on_device(t))
    assert relative_error(device_value, value) < 1e-14
    assert_same(device_grads, grads, "float64")


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_a_model_in_float32_is_as_close_to_float64_as_numpys(form):
    model, device_model = models(replace(BASE, gelu=form), "float32")
    x, _ = batch(BASE, "float32")
    t = np.eye(5, dtype=np.float32)[:3]
    exact = model.astype("float64")
    assert relative_error(device_model(on_device(x)), exact(x.astype(np.float64))) < 2e-6
    _, expected = exact.loss_and_gradients(x.astype(np.float64), t.astype(np.float64))
    _, grads = model.loss_and_gradients(x, t)
    _, device_grads = device_model.loss_and_gradients(on_device(x), on_device(t))
    largest = max(np.linalg.norm(g) for g in flatten(expected).values())
    named = [name for name, g in flatten(expected).items() if np.linalg.norm(g) > 1e-3 * largest]
    worst, device_worst = (max(relative_error(flatten(tree)[name], flatten(expected)[name]) for name in named)
                           for tree in (grads, device_grads))
    assert device_worst < 1.5 * worst < 1e-5


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_steps_on_the_processor(dtype, rng):
    host = {"a.weight": rng.standard_normal((30, 40)).astype(dtype), "b": rng.standard_normal(7).astype(dtype)}
    device = {name: on_device(a) for name, a in host.items()}
    here, there = AdamW.for_params(host), AdamW.for_params(device)
    with watched() as watch:
        for step in range(5):
            g = {name: rng.standard_normal(a.shape).astype(dtype) for name, a in host.items()}
            (g, norm), (device_g, device_norm) = clip(g, 1.0), clip({name: on_device(a) for name, a in g.items()}, 1.0)
            assert relative_error(device_norm, norm) < TOLERANCE[dtype]
            here.step(host, g, 0.1 / (1 + step), 0.05)
            there.step(device, device_g, 0.1 / (1 + step), 0.05)
    assert watch.to_host == 0
    for name in host:
        assert relative_error(device[name], host[name]) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gelu_elementwise(dtype):
    x = np.concatenate([np.linspace(-12, 12, 4000), [0.0, -0.0, 1e-30, 80.0, -80.0, 1e4]]).astype(dtype)
    for form in ("erf", "tanh"):
        for found, expected in zip(gelu.forward(on_device(x), form), gelu.forward(x, form)):
            np.testing.assert_allclose(on_host(found), expected, rtol=TOLERANCE[dtype], atol=2 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_chain_as_the_gpus_tests_run_them(dtype):
    exact = chains(lambda a: a.astype(np.float64), dtype)
    for name, found in chains(lambda a: on_device(a), dtype).items():
        assert found.dtype == dtype, name
        assert relative_error(found, exact[name]) < TOLERANCE[dtype], name


EXPRESSIONS = {name: f"np.{name}(x, y)" for name in ("add", "subtract", "multiply", "divide", "minimum", "maximum",
                                                      "copysign")}
EXPRESSIONS |= {name: f"np.{name}(x)" for name in ("negative", "exp", "tanh", "sqrt", "absolute")}
EXPRESSIONS |= {"clip": "np.clip(x, -0.5, 2.0)", "less_equal": "np.where(x <= y, -1.0 * y, out)",
                "where": "np.where(x <= 0.5, y, x)"}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation(name, dtype):
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, 88.0, -1e30, 1e-30]
    x, y = (a.ravel() for a in np.meshgrid(np.array(special, dtype), np.array(special, dtype)))
    expected, found = np.zeros_like(x), on_device(np.zeros_like(x))
    defined = {"np": np}
    exec(f"def chain(x, y, out):\n    out[...] = {EXPRESSIONS[name]}", defined)
    with np.errstate(all="ignore"):
        defined["chain"](x, y, expected)
    fusing.fused(defined["chain"], on_device(x), on_device(y), found)
    np.testing.assert_allclose(on_host(found), expected, rtol=TOLERANCE[dtype])
    np.testing.assert_array_equal(np.signbit(on_host(found)) & ~np.isnan(expected),
                                  np.signbit(expected) & ~np.isnan(expected))


def all_sources():
    """{CUDA source: dtype} of every kernel of forward, backward, clipping and AdamW in both precisions and forms."""
    host_kernels.sources.clear()
    for dtype in TOLERANCE:
        for form in ("erf", "tanh"):
            _, model = models(replace(BASE, gelu=form), dtype)
            x, _ = batch(BASE, dtype)
            model(on_device(x))
            _, grads = model.loss_and_gradients(on_device(x), on_device(np.eye(5, dtype=dtype)[:3]))
            AdamW.for_params(model.params).step(model.params, clip(grads, 1.0)[0], 1e-3, 0.05)
    return dict(host_kernels.sources)


def ptx(source, architecture):
    """What NVRTC makes of a kernel's source: PTX, with CuPy's headers and options."""
    headers = "".join(f"#include <{name}>\n" for name in cupy._core.core._cupy_header_list)
    options = (*cupy._core.core.assemble_cupy_compiler_options(()), f"-arch=compute_{architecture}")
    program = compiler._NVRTCProgram(headers + source, "kernel.cu", method="ptx")
    return program.compile(options)[0].decode()


@pytest.mark.parametrize("architecture", [80, 90])
def test_nvrtc_compiles_every_kernel_and_float32_computes_nothing_in_double(architecture):
    sources = all_sources()
    names = {re.search(r"__global__ void (\w+)", source)[1] for source in sources}
    assert names == {"minivit_erf_form", "minivit_tanh_form", "minivit_normalise",
                     "minivit_normalise_mean", "minivit_softmax", "minivit_softmax_sum", "minivit_softmax_backward",
                     "minivit_softmax_backward_sum", "minivit_normalise_backward", "minivit_normalise_backward_sum",
                     "minivit_normalise_backward_mean", "minivit_update", "minivit_sum_of_squares_sum"}
    for source, dtype in sources.items():
        code = ptx(source, architecture)
        assert ".entry minivit_" in code
        assert bool(DOUBLE_ARITHMETIC.search(code)) == (dtype == np.float64), source


@pytest.mark.parametrize("options, mapped", [(("-DFIRST_PASS=1",), None), (("-DSECOND_PASS=1",), "in0"), ((), None)])
@pytest.mark.parametrize("kind", ["sum", "mean"])
def test_nvrtc_compiles_the_reductions_by_cub(monkeypatch, kind, options, mapped):
    """Of one array alone, as of the squares that clipping sums, CuPy reduces by CUB, in two passes or one."""
    value = Value("({} * {})", (argument := Value(""), argument))
    kernel, _ = kernel_source.reduction("minivit_test", Value("{}", (value,), reduction=(kind, None, False)),
                                        {argument: 3})
    kernel, dtype = kernel.cupy, np.dtype(np.float32)
    # What CuPy does to the texts before it compiles them.
    ours, result = (param.name for param in kernel._params[:2])
    text, result_text = kernel.map_expr.replace(ours, "in0"), kernel.post_map_expr
    if kind == "mean":
        result_text = result_text.replace("_in_ind.size()", "_segment_size").replace("_out_ind.size()", "1.0")
    parameters = sum((_kernel._get_param_info(*p) for p in [
        ("T in0", True), ("T out0", False), ("int32 _segment_size", True), ("int32 _array_size", True)]), ())
    infos = host_kernels.infos([np.ones(3, dtype), np.ones(1, dtype), np.int32(3), np.int32(3)])
    names = [("IndexT", np.int32), ("sizeT", np.int32), ("type_in0_raw", dtype.type), ("type_out0_raw", dtype.type)]

    def stop(source, options, **_):
        raise Written(source, options)

    monkeypatch.setattr(compiler, "_compile_module_with_cache", stop)
    with pytest.raises(Written) as written:
        _cub_reduction._SimpleCubReductionKernel_get_cached_function.__wrapped__(
            mapped or text, kernel.reduce_expr, result_text.replace(result, "out0"), kernel.reduce_type, parameters,
            infos, host_kernels.types(dtype, *names), kernel.name, 512, kernel.identity, kernel.preamble, options, 4)
    source, all_options = written.value.args
    program = compiler._NVRTCProgram(source, "kernel.cu", method="ptx")
    code = program.compile((*all_options, "-arch=compute_90"))[0].decode()
    assert f".entry {kernel.name}" in code


class Written(Exception):
    """CuPy's source and the compiler's options."""


def test_a_number_in_double_would_be_seen():
    def double(x):
        x *= 0.5

    tiles.by_rows(double, on_device(np.ones((2, 3), np.float32)))
    (source,) = [source for source in host_kernels.sources if "minivit_double" in source]
    assert not DOUBLE_ARITHMETIC.search(ptx(source, 90))
    assert DOUBLE_ARITHMETIC.search(ptx(source.replace("T(0.5)", "0.51"), 90))
