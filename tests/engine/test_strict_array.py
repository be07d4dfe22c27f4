"""The stand-in for CuPy refuses what CuPy refuses, and so a planted bug of each kind fails the ordinary checks."""

import inspect
import math
import sys
import types

import numpy as np
import pytest

from minivit import attention, cls_token, gelu, head, layer_norm, loss, position_embedding, softmax
from minivit.training import optimiser
from tests.faults.pattern import replaced
from tests.strict_array import StrictArray, fake_cupy, on_device, on_host, watched


@pytest.fixture(autouse=True)
def cuda(monkeypatch):
    """CuPy as the stand-in."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())


@pytest.fixture
def x(rng):
    return on_device(rng.standard_normal((2, 3, 4)).astype(np.float32))


def test_it_is_not_an_ndarray(x):
    assert not isinstance(x, np.ndarray)


def evaluate(code, x):
    """The value of an expression about x, on the device, and h, an array of its shape on the host."""
    return eval(code, {"np": np, "x": x, "h": np.ones(x.shape, x.dtype)})


@pytest.mark.parametrize("code", [
    "np.asarray(x)", "np.array(x)", "np.ascontiguousarray(x)", "np.array([x[0, 0, 0], x[0, 0, 1]])",
    "h.__setitem__(..., x)", "np.random.default_rng(0).permutation(x)", "np.sort([x, x])",
])
def test_implicit_conversion(x, code):
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        evaluate(code, x)


def test_the_buffer_is_closed(x):
    with pytest.raises(TypeError):
        memoryview(x)


@pytest.mark.parametrize("code", [
    "x + h", "h + x", "h @ x.swapaxes(1, 2)", "x == h", "x * np.array(2.0)", "x * h[:1, :1, :1]", "np.maximum(h, x)",
    "np.add(x, [1, 2, 3, 4])", "x.__iadd__(h)", "h.__iadd__(x)", "np.exp(x, out=h)", "np.exp(h, out=x)",
    "np.matmul(x.swapaxes(1, 2), x, out=np.zeros((2, 4, 4), np.float32))", "x.sum(0, out=h[0])",
    "np.concatenate([x, h])", "np.where(x > 0, x, h)", "np.einsum('btd,btd->bt', x, h)",
    "x.__setitem__(..., h)", "x[h[0, 0].astype(int)]",
])
def test_host_arrays_among_the_operands(x, code):
    with pytest.raises(TypeError, match=r"got a NumPy array|takes arrays and numbers|takes a CuPy array or a number"):
        evaluate(code, x)


# NumPy has these two from 2.1 on; before, it refuses them itself.
NEWER = ["np.unstack(x)", "np.clip(x, min=0)"] if hasattr(np, "unstack") else []


@pytest.mark.parametrize("code", [
    *NEWER, "np.vecdot(x, x)", "np.sum(x, where=x > 0)", "x.max(initial=0)", "np.exp(x, where=x > 0)",
    "np.add.reduce(x)", "np.add.at(x, 0, 1)", "x.mean(axis=0, where=x > 0)",
    "np.mean(x, 0, None, None, False, where=0)", "np.take_along_axis(x, x, axis=0, mode='clip')",
    "np.eye(3, like=x)", "np.ones(3, like=x)",
])
def test_what_cupy_does_not_have(x, code):
    with pytest.raises(TypeError, match=r"CuPy has no|CuPy's .* does not take this call|unexpected keyword"):
        evaluate(code, x)


@pytest.mark.parametrize("name", ["tofile_", "ctypes", "__array_interface__", "__array_struct__", "sortt"])
def test_attributes_that_cupy_does_not_have(x, name):
    assert not hasattr(x, name)


def test_results_are_device_arrays_down_to_0d(x):
    h = on_host(x)
    results = {"sum": x.sum(), "max": np.max(x), "index": x[1, 2, 3], "equal": x == x, "shape": x.reshape(6, -1).T,
               "split": np.split(x, 2, axis=-1)[1], "0-d arithmetic": x.sum() * 2.0, "like": np.zeros(3, like=x)}
    expected = {"sum": h.sum(), "max": h.max(), "index": h[1, 2, 3], "equal": h == h, "shape": h.reshape(6, -1).T,
                "split": np.split(h, 2, axis=-1)[1], "0-d arithmetic": h.sum() * 2.0, "like": np.zeros(3)}
    for name, result in results.items():
        assert isinstance(result, StrictArray), name
        np.testing.assert_array_equal(on_host(result), expected[name], err_msg=name)
        assert result.dtype == np.asarray(expected[name]).dtype, name


def test_views_and_outputs_are_written_in_place(x):
    before = on_host(x).copy()
    x[:, 0] = 0.0
    x.transpose(0, 2, 1)[...] += 1.0
    assert np.exp(x, out=x) is x
    before[:, 0] = 0
    np.testing.assert_array_equal(on_host(x), np.exp(before + 1))


def test_integer_arrays_wrap_around_as_in_cupy(x):
    places = on_device(np.array([1, 3, -1]))
    np.testing.assert_array_equal(on_host(x[0, places, 0]), on_host(x)[0, [1, 0, 2], 0])
    np.testing.assert_array_equal(on_host(x[..., None, places]), on_host(x)[..., None, [1, 3, 3]])
    with pytest.raises(IndexError):
        x[2]


def test_moves_and_reads_are_counted(x):
    with watched() as watch:
        np.asarray(np.ones(3), like=x)
        on_device(np.ones(3))
        x.sum() + 1
        np.arange(3, like=x)
    assert (watch.to_device, watch.to_host) == (2, 0)
    with watched() as watch:
        float(x.sum()), int(x[0, 0, 0]), bool(x.max() > 0), x.get(), x[0, 0, 0].item(), math.isnan(x.sum()), x[x > 0]
    assert (watch.to_device, watch.to_host) == (0, 7)


def test_an_explicit_move_copies(x):
    h = np.ones(3)
    for moved in (np.asarray(h, like=x), on_device(h)):
        h[0] = 5
        assert float(moved[0]) == 1
        h[0] = 1
    back = x.get()
    back[...] = 0
    assert float(np.abs(x).max()) > 0


# Planted bugs: the shipped source of a section with one line changed must fail on the stand-in, and only there.

D, T, B, H = 8, 4, 2, 2


def run_cls_token(section, put):
    return section.forward(put(np.ones((B, T, D), np.float32)), {"cls_token": put(np.ones((1, 1, D), np.float32))})


def run_positions(section, put):
    return section.forward(put(np.ones((B, T + 1, D), np.float32)), {}, "sincos2d", (2, 2))


def run_softmax(section, put):
    a, _ = section.forward(put(np.ones((B, T), np.float32)))
    return section.backward(put(np.ones((B, T), np.float32)), a)


def run_head(section, put):
    norm = {"weight": put(np.ones(D, np.float32)), "bias": put(np.ones(D, np.float32))}
    x = put(np.arange(B * T * D, dtype=np.float32).reshape(B, T, D))
    y, cache = section.forward(x, {"fc_norm": norm}, pool="mean")
    return y, section.backward(y, cache)


def run_attention(section, put):
    def weights(*shape):
        return {"weight": put(np.full(shape, 0.1, np.float32)), "bias": put(np.zeros(shape[1], np.float32))}
    x, params = put(np.ones((B, T, D), np.float32)), {"qkv": weights(D, 3 * D), "proj": weights(D, D)}
    y, cache = section.forward(x, params, H)
    return y, section.backward(y, cache)


def run_loss(section, put):
    value, cache = section.forward(put(np.ones((B, 5), np.float32)), put(np.array([0, 3])))
    return value, section.backward(cache)


def run_clip(section, put):
    return section.clip({"w": put(np.ones(D, np.float32))}, 1.0)


def run_gelu(section, put):
    return section.forward(put(np.linspace(-2, 2, D, dtype=np.float32)))


def run_layer_norm(section, put):
    norm = {"weight": put(np.ones(D, np.float32)), "bias": put(np.ones(D, np.float32))}
    y, cache = section.forward(put(np.arange(B * T * D, dtype=np.float32).reshape(B, T, D)), norm)
    return y, section.backward(y, cache)


def run_adamw(section, put):
    params = {"w": put(np.ones((T, D), np.float32))}
    optimiser = section.AdamW.for_params(params)
    for rate in (0.1, 0.2):
        optimiser.step(params, {"w": put(np.ones((T, D), np.float32))}, rate, 0.05)


UPDATED = "w, g, m, v, shrink, beta1, new1, beta2, new2, step, correction"
PLANTED = {
    "array created on the wrong side: [CLS] tokens":
        (cls_token, run_cls_token, "np.broadcast_to(token, _1)", "np.zeros((len(x), *token.shape[1:]), x.dtype)"),
    "array created on the wrong side: the gradient of all tokens":
        (head, run_head, "np.zeros_like(dpooled, shape=shape)", "np.zeros(shape, dpooled.dtype)"),
    "array created on the wrong side: an output":
        (attention, run_attention, 'np.empty_like(x[:, queries], order="C")', "np.empty(x[:, queries].shape, x.dtype)"),
    "host array mixed in: sin-cos positions":
        (position_embedding, run_positions, "np.asarray(tokens[None], like=x)", "tokens[None]"),
    "host array mixed in: the classes' numbers":
        (loss, run_loss, "np.arange(K, like=labels)", "np.arange(K)"),
    "function that CuPy lacks: vecdot":
        (softmax, run_softmax, "(a * da).sum(axis=-1, keepdims=True)", "np.vecdot(a, da)[..., None]"),
    "keyword that CuPy lacks: initial":
        (softmax, run_softmax, "s.max(axis=-1, keepdims=True)", "s.max(axis=-1, keepdims=True, initial=0)"),
    "keyword that CuPy lacks: where":
        (softmax, run_softmax, "np.exp(_1, out=a)", "np.exp(_1, out=a, where=True)"),
    "implicit conversion: asarray":
        (loss, run_loss, "np.exp(log_p)", "np.exp(np.asarray(log_p))"),
    "implicit conversion: a list of arrays":
        (head, run_head, "x[:, first:].mean(axis=1)", "np.array([one[1:].mean(axis=0) for one in x])"),
    # In chains that become kernels.
    "a rate compiled into a kernel, as a default":
        (optimiser, run_adamw, f"def update({UPDATED}, epsilon): ...", f"def update({UPDATED}, epsilon=1e-8): ..."),
    "numbers alone, worked out in float32 for every element":
        (optimiser, run_adamw, "m += new1 * g", "m += (1 - beta1) * g"),
    "host array read inside a kernel": (optimiser, run_adamw, "m *= beta1", "m *= np.array(0.9)"),
    "host array in a kernel":
        (gelu, run_gelu, "np.add(distribution, ...)", "np.add(distribution * np.ones(1, x.dtype), ...)"),
    "NumPy's double in a kernel": (gelu, run_gelu, "NORMAL_PEAK * _1", "np.sqrt(0.5 / np.pi) * _1"),
    "function that a kernel lacks: square": (gelu, run_gelu, "-0.5 * x * x", "-0.5 * np.square(x)"),
    "keyword that a kernel lacks: where":
        (gelu, run_gelu, "np.exp(-0.5 * x * x)", "np.exp(-0.5 * x * x, where=True)"),
    "a kernel that depends on a number of the array":
        (softmax, run_softmax, "a /= _1", "a /= _1 if a.max() < 99 else -_1"),
    "a kernel that writes to a part":
        (layer_norm, run_layer_norm, "np.divide(_1, _2, out=inverse_std)",
         "np.divide(_1, _2, out=inverse_std[..., :1])"),
    "a kernel that depends on a length":
        (layer_norm, run_layer_norm, "mean(xhat * xhat)",
         "(xhat * xhat).sum(axis=-1, keepdims=True) / len(weight)"),
}


def planted(section, old, new):
    """A copy of a section's module with one piece of its source replaced, found by its structure."""
    source = replaced(inspect.getsource(section), old, new)
    copy = types.ModuleType(section.__name__)
    copy.__package__, copy.__file__ = section.__package__, section.__file__
    exec(compile(source, section.__file__, "exec"), copy.__dict__)
    return copy


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug):
    section, run, old, new = PLANTED[bug]
    run(section, on_device)
    run(planted(section, old, new), np.array)
    with pytest.raises(TypeError):
        run(planted(section, old, new), on_device)


def test_a_planted_hidden_read_is_counted():
    with watched() as watch:
        run_clip(optimiser, on_device)
    assert watch.to_host == 0
    with_a_read = planted(optimiser, "np.maximum(norm, largest)", "max(norm, largest)")
    run_clip(with_a_read, np.array)
    with watched() as watch:
        run_clip(with_a_read, on_device)
    assert watch.to_host == 1
