"""The judge is judged: gradient_check passes what is right and rejects, by name, what is not."""

from types import SimpleNamespace

import numpy as np
import pytest
from peaked import WIDE, copied, images, peaked_model
from section_contract import attention_params, linear_params, norm_params

import minivit
from minivit import attention, layer_norm, linear, softmax
from minivit.trees import flatten


def with_backward(section, change):
    """The section with change(dx, grads) after its backward pass."""
    def backward(dy, cache):
        return change(*section.backward(dy, cache))
    return SimpleNamespace(forward=section.forward, backward=backward)


@pytest.fixture
def case(rng):
    return rng.standard_normal((2, 5, 4)), linear_params(rng, 4, 30)


def test_right_gradients_pass(case):
    report = minivit.gradient_check(linear, *case)
    assert report and report.passed and 0 < report.worst <= 1e-9
    assert [(row.name, row.shape, row.how) for row in report.rows] == [
        ("x", (2, 5, 4), "every element"), ("weight", (4, 30), "3 directions"), ("bias", (30,), "every element")]
    assert "all right" in repr(report) and "WRONG" not in repr(report)


@pytest.mark.parametrize("name", ["x", "weight", "bias"])
def test_a_gradient_wrong_by_a_millionth_is_named(case, name):
    def change(dx, grads):
        return (dx * (1 + 1e-6), grads) if name == "x" else (dx, {**grads, name: grads[name] * (1 + 1e-6)})
    report = minivit.gradient_check(with_backward(linear, change), *case)
    assert not report and [row.name for row in report.rows if not row.passed] == [name]
    assert repr(report).splitlines()[-1].startswith(f"WRONG: {name};")
    wrong, = [line for line in repr(report).splitlines()[1:-1] if "WRONG" in line]
    assert wrong.startswith(name)


def test_one_wrong_element_of_a_large_tensor_is_seen(rng):
    def change(dx, grads):
        grads["weight"][3, 7] *= 1.01
        return dx, grads
    report = minivit.gradient_check(with_backward(linear, change), rng.standard_normal((2, 5, 40)),
                                    linear_params(rng, 40, 50))
    assert [row.name for row in report.rows if not row.passed] == ["weight"]


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_gradients_of_nothing_are_wrong(case, value):
    def change(dx, grads):
        return dx, {**grads, "bias": np.full_like(grads["bias"], value)}
    report = minivit.gradient_check(with_backward(linear, change), *case)
    assert not report and not report.rows[-1].passed


def test_a_wrong_layer_of_a_model_is_named(monkeypatch):
    model = peaked_model(WIDE)
    real = minivit.vit.backward

    def backward(dlogits, cache):
        dx, grads = real(dlogits, cache)
        grads["blocks"][1]["mlp"]["fc2"]["bias"] *= 1.001
        return dx, grads
    monkeypatch.setattr(minivit.vit, "backward", backward)
    report = minivit.gradient_check(model, images(B=1), directions=1)
    assert [row.name for row in report.rows if not row.passed] == ["blocks.1.mlp.fc2.bias"]


def test_wrong_names_and_shapes_are_errors(case):
    def check(change, message):
        with pytest.raises(ValueError, match=message):
            minivit.gradient_check(with_backward(linear, change), *case)
    check(lambda dx, grads: (dx, {"weight": grads["weight"]}), r"named \['weight'\], parameters \['bias', 'weight'\]")
    check(lambda dx, grads: (dx, {**grads, "more": dx}), "'more'")
    check(lambda dx, grads: (dx, {**grads, "weight": grads["weight"].T}), r"weight has the shape \(30, 4\), .*\(4, 3")
    check(lambda dx, grads: (dx[0], grads), r"of x has the shape \(5, 4\)")


def test_a_key_bias_alone_is_zero_and_said_so(rng):
    """Both gradients vanish: an error relative to zero would mean nothing."""
    params, x = attention_params(rng, 6), rng.standard_normal((2, 5, 6))

    def with_key_bias(x, key_bias):
        qkv = {**params["qkv"], "bias": np.concatenate([params["qkv"]["bias"][:6], key_bias["bias"],
                                                        params["qkv"]["bias"][12:]])}
        return attention.forward(x, {**params, "qkv": qkv}, 2)

    def backward(dy, cache):
        dx, grads = attention.backward(dy, cache)
        return dx, {"bias": grads["qkv"]["bias"][6:12]}

    report = minivit.gradient_check(SimpleNamespace(forward=with_key_bias, backward=backward), x,
                                    {"bias": rng.standard_normal(6)})
    assert report.passed and [row.how for row in report.rows] == ["every element", "zero"]


def test_what_is_checked_is_not_changed(case):
    x, params = case
    kept = copied({"x": x, **params})
    minivit.gradient_check(linear, x, params)
    assert all(np.array_equal(a, kept[name]) for name, a in flatten({"x": x, **params}).items())


def test_float32_is_checked_in_float64(case):
    x, params = case
    narrow = {name: w.astype(np.float32) for name, w in params.items()}
    assert minivit.gradient_check(linear, x.astype(np.float32), narrow).worst <= 1e-9
    model = peaked_model(WIDE, dtype="float32")
    assert minivit.gradient_check(model, images(B=1, dtype="float32"), directions=1).passed


def without_scale_part(dy, cache):
    """A wrong backward pass of LayerNorm: mean(x̂ dx̂) x̂ is left out."""
    _, inverse_std, params = cache
    dxhat = dy * params["weight"]
    return (dxhat - dxhat.mean(axis=-1, keepdims=True)) * inverse_std


def test_an_upstream_gradient_of_ones_would_have_missed_it(rng):
    """Ones pass through a fresh LayerNorm as zero, whether its backward pass is right or wrong."""
    x, fresh = rng.standard_normal((3, 5, 6)), {"weight": np.ones(6), "bias": np.zeros(6)}
    _, cache = layer_norm.forward(x, fresh)
    ones, random = np.ones_like(x), rng.standard_normal(x.shape)
    difference = [np.abs(layer_norm.backward(dy, cache)[0] - without_scale_part(dy, cache)).max()
                  for dy in (ones, random)]
    assert difference[0] <= 1e-14 and difference[1] > 0.1
    wrong = SimpleNamespace(forward=layer_norm.forward, backward=lambda dy, cache: (
        without_scale_part(dy, cache), layer_norm.backward(dy, cache)[1]))
    report = minivit.gradient_check(wrong, x, norm_params(rng, 6))
    assert [row.name for row in report.rows if not row.passed] == ["x"]


def test_a_single_token_would_have_missed_it(rng, monkeypatch):
    """Softmax over one score is constant: a wrong Jacobian shows only where there are several tokens."""
    monkeypatch.setattr(softmax, "backward", lambda dy, weights: weights * (1 - weights) * dy)
    params = attention_params(rng, 6)
    one = minivit.gradient_check(attention, rng.standard_normal((2, 1, 6)), params, num_heads=2)
    several = minivit.gradient_check(attention, rng.standard_normal((2, 5, 6)), params, num_heads=2)
    assert one.passed and not several.passed
    assert {row.name for row in several.rows if not row.passed} == {"x", "qkv.weight", "qkv.bias"}
