"""GPU kernels made from the sections' functions, on the strict stand-in: how many, of what, and what is refused.

That they compute what NumPy computes is what all of test_device.py checks, since every chain there runs through them.
"""

import sys

import numpy as np
import pytest

from minivit import gelu, layer_norm, softmax
from minivit.engine.gpu import kernels
from minivit.engine.gpu.kernels import fused
from minivit.engine.tiles import by_rows
from minivit.training import optimiser
from minivit.trees import flatten, tree_map
from tests import strict_kernels
from tests.strict_array import fake_cupy, on_device, on_host, watched


@pytest.fixture(autouse=True)
def cuda(monkeypatch):
    """CuPy as the stand-in, and no kernels yet."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    monkeypatch.setattr(kernels, "_programs", {})


@pytest.fixture
def x(rng):
    return on_device(rng.standard_normal((2, 3, 4)).astype(np.float32))


def norm_params():
    return {"weight": on_device(np.ones(4, np.float32)), "bias": on_device(np.ones(4, np.float32))}


def layer_norm_backward(x):
    y, cache = layer_norm.forward(x, norm_params())
    return lambda: layer_norm.backward(y, cache)


@pytest.mark.parametrize("name, prepare, count", [
    ("GELU, erf form", lambda x: lambda: gelu.forward(x, with_cache=False), 1),
    ("GELU, erf form and slope", lambda x: lambda: gelu.forward(x), 1),
    ("GELU, tanh form and slope", lambda x: lambda: gelu.forward(x, "tanh"), 1),
    ("softmax", lambda x: lambda: softmax.forward(x), 3),
    ("softmax in place", lambda x: lambda: softmax.forward(x, out=x), 3),
    ("softmax, backward", lambda x: lambda: softmax.backward(x, x), 2),
    ("LayerNorm", lambda x: lambda: layer_norm.forward(x, norm_params()), 4),
    ("LayerNorm, backward", layer_norm_backward, 9),
    ("sum of squares", lambda x: lambda: fused(optimiser.sum_of_squares, x), 1),
])
def test_kernels_of_a_section(x, name, prepare, count):
    run = prepare(x)
    run()
    with watched() as watch:
        run()
    watch.calls.pop("asarray", None)
    assert watch.fused.total() > 0
    assert watch.started() == count


def test_a_changing_rate_and_batch_compile_nothing_anew(monkeypatch, rng):
    made = []
    original = strict_kernels.ElementwiseKernel.__init__
    monkeypatch.setattr(strict_kernels.ElementwiseKernel, "__init__",
                        lambda self, *args, **keywords: made.append(args) or original(self, *args, **keywords))
    w = rng.standard_normal((3, 4)).astype(np.float32)
    host, device = {"a.weight": w.copy()}, {"a.weight": on_device(w)}
    here, there = optimiser.AdamW.for_params(host), optimiser.AdamW.for_params(device)
    for rate in (0.1, 0.2, 0.0, 0.3):
        g = rng.standard_normal((3, 4)).astype(np.float32)
        here.step(host, {"a.weight": g}, rate, 0.05)
        there.step(device, {"a.weight": on_device(g)}, rate, 0.05)
    np.testing.assert_allclose(on_host(device["a.weight"]), host["a.weight"], rtol=1e-6)
    assert len(made) == 1
    for batch in (2, 3, 5):
        softmax.forward(on_device(rng.standard_normal((batch, 4)).astype(np.float32)))
    assert len(made) == 2


def test_the_numbers_of_each_precision(rng):
    for dtype, tolerance in ((np.float32, 2e-7), (np.float64, 4e-16)):
        x = np.linspace(-7, 7, 10_000).astype(dtype).reshape(100, 100)
        for form in ("erf", "tanh"):
            for found, expected in zip(gelu.forward(on_device(x), form), gelu.forward(x, form)):
                assert found.dtype == dtype
                np.testing.assert_allclose(on_host(found), expected, rtol=0, atol=4 * tolerance)


def test_narrow_arrays_are_written_first_and_read_by_the_wide():
    x = on_device(np.arange(12, dtype=np.float64).reshape(3, 4))
    layer_norm.forward(x, {"weight": on_device(np.ones(4)), "bias": on_device(np.zeros(4))})
    (program,) = kernels._programs.values()
    narrow, wide = [kernel for kernel, _ in program.writes]
    assert (narrow.outputs, wide.outputs) == (["r2"], ["r1", "r3"]) and "a2" in wide.inputs


@pytest.mark.parametrize("axis", [(0, 1), (1, 0), (-2, -1), (0, 2), (2,), (0, 1, 2)])
def test_sums_over_axes_in_any_order(rng, axis):
    x, names = rng.standard_normal((2, 3, 4)), {}
    exec(f"def squares(x):\n    return (x * x).sum(axis={axis})", names)        # a kernel's axes are in its source
    np.testing.assert_allclose(on_host(fused(names["squares"], on_device(x))), names["squares"](x), rtol=1e-14)


@pytest.mark.parametrize("largest", [0.5, 100.0])
def test_gradients_are_clipped_together_as_one_by_one(rng, largest):
    grads = {"a": {"weight": rng.standard_normal((3, 4)), "bias": rng.standard_normal(4)},
             "blocks": [{"b": rng.standard_normal((1, 2, 3))}, {"b": rng.standard_normal((2, 1))}]}
    expected, norm = optimiser.clip(grads, largest)
    found, norm_there = optimiser.clip(tree_map(on_device, grads), largest)
    np.testing.assert_allclose(on_host(norm_there), norm, rtol=1e-14)
    assert list(flatten(found)) == list(flatten(expected))
    for name, g in flatten(found).items():
        np.testing.assert_allclose(on_host(g), flatten(expected)[name], rtol=1e-13, err_msg=name)


def number(x, y):
    if x.max() <= 0:
        y[...] = x


def lengths(x, y):
    y[...] = x * x.shape[-1]


def conversion(x, y):
    y[...] = x * float(x.sum())


def host_array(x, y):
    np.multiply(x, np.ones(4, np.float32), out=y)


def numpy_scalar(x, y):
    np.multiply(x, np.float64(0.1), out=y)


def lacking_function(x, y):
    np.sinh(x, out=y)


def lacking_reduction(x, y):
    np.subtract(x, x.min(axis=-1, keepdims=True), out=y)


def maximum_of_a_chain(x, y):
    np.subtract(x, (x * x).max(axis=-1, keepdims=True), out=y)


def keyword(x, y):
    np.exp(x, out=y, where=True)


def part(x, y):
    y[:, 0] = y


def another_shape(x, y):
    np.add(x.sum(axis=-1, keepdims=True), 1.0, out=y)


def comparison(x, y):
    y[...] = (x <= 0.0) * x


def elementwise_result(x, y):
    return x + y


def infinity(x, y):
    np.multiply(x, math_inf, out=y)


def default(x, y, rate=0.1):
    np.multiply(x, rate, out=y)


math_inf = float("inf")


@pytest.mark.parametrize("function, reason", [
    (number, "asked for a number"), (lengths, "no attribute 'shape'"), (conversion, "float"),
    (host_array, "its own arrays and Python numbers, found ndarray"),
    (numpy_scalar, "its own arrays and Python numbers, found float64"), (lacking_function, "no np.sinh"),
    (lacking_reduction, "no attribute 'min'"), (maximum_of_a_chain, "a max is taken of an array"),
    (keyword, "no np.exp"), (part, "assigns whole arrays"), (another_shape, "written to"),
    (comparison, "of a comparison"), (elementwise_result, "what is elementwise, it writes"), (infinity, "inf"),
    (default, "a default would be compiled in")])
def test_what_cannot_be_a_kernel_is_refused(function, reason):
    x = on_device(np.ones((3, 4), np.float32))
    with pytest.raises((TypeError, AttributeError), match=reason):
        by_rows(function, x, on_device(np.ones((3, 4), np.float32)))


def test_numbers_alone_are_refused():
    def update(x, rate, steps):
        x *= rate / steps

    with pytest.raises(TypeError, match="numbers alone"):
        fused(update, on_device(np.ones((3, 4), np.float32)), 0.1, 3)


def test_names_of_the_functions_around_are_refused():
    """What they hold may change from call to call, and a kernel would not see it."""
    rate = 0.1

    def update(x):
        x *= rate

    with pytest.raises(TypeError, match="update reads names of the functions around it: give them as arguments"):
        fused(update, on_device(np.ones((3, 4), np.float32)))


@pytest.mark.parametrize("other, reason", [
    (np.ones((3, 4), np.float32), "arrays on the GPU"), (on_device(np.ones((3, 4))), "all float32 or all float64"),
    ("text", "arrays on the GPU"), (on_device(np.ones((3, 4), int)), "all float32 or all float64"),
])
def test_arguments_that_are_refused(other, reason):
    def multiply(x, y):
        x *= y

    with pytest.raises(TypeError, match=reason):
        fused(multiply, on_device(np.ones((3, 4), np.float32)), other)


def test_reading_an_array_that_an_earlier_kernel_overwrote():
    def shift(narrow, wide):
        wide *= narrow
        narrow += 1.0

    with pytest.raises(TypeError, match="read after another kernel has written"):
        fused(shift, on_device(np.ones((3, 1))), on_device(np.ones((3, 4))))


def test_reductions_see_what_the_arrays_held_before():
    def both(narrow, wide):
        narrow[...] = wide.sum(axis=-1, keepdims=True)
        wide -= narrow.mean(axis=0, keepdims=True)

    host = np.arange(3.0)[:, None], np.arange(12.0).reshape(3, 4)
    device = [on_device(h) for h in host]
    fused(both, *device)
    both(*host)
    for found, expected in zip(device, host):
        np.testing.assert_array_equal(on_host(found), expected)


def test_nothing_changes_on_the_cpu(rng):
    calls = []
    x = rng.standard_normal((3, 4))
    assert fused(lambda a: calls.append(a) or 7, x) == 7
    assert calls[0] is x and not kernels._programs


def test_other_params_compile_nothing_anew(rng):
    x = rng.standard_normal((3, 4))
    for _ in range(2):
        params = {"weight": rng.standard_normal(4), "bias": rng.standard_normal(4)}
        expected, _ = layer_norm.forward(x, params)
        found, _ = layer_norm.forward(on_device(x), {name: on_device(a) for name, a in params.items()})
        np.testing.assert_allclose(on_host(found), expected, rtol=1e-13)
    assert len(kernels._programs) == 1


@pytest.mark.parametrize("same", [True, False])
def test_an_array_that_stands_twice_is_one_array(same):
    def twice(x, y):
        np.add(x, 1.0, out=y)
        np.multiply(x, 2.0, out=y)

    def both(x, y):
        y[...] = x + 1.0
        x *= 3.0

    for function in (twice, both):
        host = [np.arange(12.0).reshape(3, 4), np.ones((3, 4))]
        host[1] = host[0] if same else host[1]
        device = [on_device(host[0].copy()), None]
        device[1] = device[0] if same else on_device(host[1].copy())
        function(*host)
        fused(function, *device)
        for found, expected in zip(device, host):
            np.testing.assert_array_equal(on_host(found), expected)


def test_arrays_of_one_shape_once_and_of_two_shapes_later():
    def double(a, b):
        a *= 2.0
        b *= 2.0

    for rows in (3, 5, 3):
        a, b = on_device(np.ones((3, 4))), on_device(np.ones((rows, 4)))
        fused(double, a, b)
        assert (on_host(a) == 2).all() and (on_host(b) == 2).all()


def test_numpys_numbers_are_numbers():
    def scale(x, rate):
        x *= rate

    x = on_device(np.ones((3, 4), np.float32))
    fused(scale, x, np.float64(0.5))
    assert (on_host(x) == 0.5).all()
