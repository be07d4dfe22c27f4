"""`compare`: what agrees, where two sides part, and why. Errors in live torch modules are in parity/."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from peaked import images, peaked_model

import minivit
from minivit import attention, softmax, tracing
from minivit.checking import variations
from minivit.checking.evidence import TOLERANCE
from minivit.checking.gradients import gradients_of
from minivit.commands import cli
from minivit.samples import CAT
from minivit.trees import flatten, tree_map


@pytest.fixture(scope="module")
def model():
    return peaked_model()


@pytest.fixture(scope="module")
def x():
    return images(B=1)


def changed(model, params=None, **config):
    other = model.with_params(tree_map(np.copy, model.params))
    other.config = replace(model.config, **config)
    if params:
        params(other.params)
    return other


def in_attention(change, part="qkv"):
    def plant(params):
        for block in params["blocks"]:
            block["attn"][part] = {name: np.ascontiguousarray(change(a)) for name, a in block["attn"][part].items()}
    return plant


def permuted_kernel(params):
    weight = params["patch_embed"]["proj"]["weight"]
    params["patch_embed"]["proj"]["weight"] = weight.reshape(4, 4, 3, -1).transpose(2, 0, 1, 3).reshape(weight.shape)


def permuted_positions(params):
    table = params["pos_embed"]
    patches = table[:, 1:].reshape(1, 4, 5, -1).swapaxes(1, 2).reshape(1, 20, -1)
    params["pos_embed"] = np.concatenate([table[:, :1], patches], axis=1)


def interleaved(a):
    """Columns (3, H, d) stored as (3, d, H)."""
    return a.reshape(*a.shape[:-1], 3, 3, 8).swapaxes(-1, -2).reshape(a.shape)


PLANTED = {
    "eps": (None, {"layer_norm_eps": 1e-12}, "layer.0.norm1", "eps is 1e-06"),
    "GELU": (None, {"gelu": "tanh"}, "layer.0.hidden", "GELU in its erf form"),
    "heads": (None, {"num_heads": 6}, "layer.0.query", "num_heads=3"),
    "q, k, v": (in_attention(lambda a: np.roll(a, a.shape[-1] // 3, axis=-1)), {}, "layer.0.query", "order k, v, q"),
    "interleaved": (in_attention(interleaved), {}, "layer.0.query", "heads are split"),
    "flatten": (permuted_kernel, {}, "patch_embedding", "flattened in another order"),
    "positions": (permuted_positions, {}, "embedded", "column by column"),
    "transposed": (in_attention(lambda a: a.T, "proj"), {}, "layer.0.attended", "attn.proj.weight is transposed"),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("only_logits", [False, True])
def test_a_planted_error_in_the_model_is_found(name, only_logits, model, x):
    plant, config, first, cause = PLANTED[name]
    reference = tracing.trace(model, x)
    if only_logits:
        reference = {"pixels": x, "logits": reference["logits"]}
    comparison = minivit.compare(changed(model, plant, **config), reference)
    assert comparison.first_difference == ("logits" if only_logits else first)
    assert cause in comparison.cause and ";" not in comparison.cause
    assert not comparison and not comparison.agrees


def test_a_port_without_the_scale(model, x, monkeypatch):
    monkeypatch.setattr(attention, "scores", lambda q, k: q @ k.swapaxes(-1, -2))
    reference = tracing.trace(model, x)
    monkeypatch.undo()
    comparison = minivit.compare(model, reference)
    assert comparison.first_difference == "layer.0.scores"
    assert comparison.cause == "the scale of the scores is missing"


def test_a_port_with_softmax_over_the_wrong_axis(model, x, monkeypatch):
    right = softmax.forward
    monkeypatch.setattr(softmax, "forward", lambda s: (right(s.swapaxes(-1, -2).copy())[0].swapaxes(-1, -2), None)
                        if s.ndim == 4 else right(s))
    reference = tracing.trace(model, x)
    monkeypatch.undo()
    comparison = minivit.compare(model, reference)
    assert comparison.first_difference == "layer.0.attention" and "wrong axis" in comparison.cause


def test_a_port_without_the_final_norm_or_with_heads_reshaped(model, x):
    z = tracing.trace(model, x)["layer.2.output"]
    logits = z[:, 0] @ model.params["head"]["weight"] + model.params["head"]["bias"]
    comparison = minivit.compare(model, {"pixels": x, "layer.2.output": z, "norm": z, "logits": logits})
    assert comparison.first_difference == "norm" and comparison.cause == "the final LayerNorm is missing"

    steps = tracing.trace(model, x)
    block = model.params["blocks"][0]
    qkv = steps["layer.0.norm1"] @ block["attn"]["qkv"]["weight"] + block["attn"]["qkv"]["bias"]
    query, key, value = (part.reshape(1, 3, 21, 8) for part in np.split(qkv, 3, axis=-1))
    comparison = minivit.compare(model, {**steps, "layer.0.query": query, "layer.0.key": key, "layer.0.value": value})
    assert "reshape without the transpose" in comparison.cause


def test_a_second_cause_is_looked_for_beside_the_first(model, x):
    """Of two layers and the head nothing is given but the logits: both mistakes lie between."""
    steps = tracing.trace(changed(model, gelu="tanh"), x)
    logits = steps["layer.2.output"][:, 0] @ model.params["head"]["weight"] + model.params["head"]["bias"]
    comparison = minivit.compare(model, {"pixels": x, "layer.0.output": steps["layer.0.output"], "logits": logits})
    assert comparison.first_difference == "layer.0.output"
    assert "GELU" in comparison.cause and comparison.cause.endswith("the final LayerNorm is missing")


def test_all_rows_agree_with_a_second_checkpoint(model, tmp_path):
    minivit.save(model, tmp_path / "a.safetensors", dtype="float64")
    comparison = minivit.compare(model, tmp_path / "a.safetensors", gradients=True)
    assert comparison and comparison.cause is None and comparison.first_difference is None
    assert len(comparison.rows) == 5 + 12 * 3 + 4 + 1 + len(flatten(model.params))
    assert "rows agree" in repr(comparison)


def test_arrays_of_a_port_in_float32(model, x, tmp_path):
    """A port in C or Rust: rounded arrays agree, and another eps is told from rounding in the logits of few steps."""
    steps = {name: a.astype(np.float32) for name, a in tracing.trace(model, x).items()}
    np.savez(tmp_path / "port.npz", **steps)
    assert minivit.compare(model, tmp_path / "port.npz").agrees
    np.savez(tmp_path / "port.npz", **{"pixels": x, "layer.1.output": steps["layer.1.output"] * 1.01})
    comparison = minivit.compare(model, tmp_path / "port.npz")
    assert comparison.first_difference == "layer.1.output" and comparison.cause is None
    assert "none that is known" in repr(comparison)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("names", [("pixels",), ("patches",), ("pixels", "patches")])
def test_pixels_given_less_exactly_loosen_no_other_step(names, dtype, model, x):
    """Prepared by whom they may be: the steps are judged by their own precision, and right ones stay right."""
    def port(**config):
        steps = tracing.trace(changed(model, **config), x)
        return steps | {name: steps[name].astype(dtype) for name in names}

    right = minivit.compare(model, port())
    assert right.agrees and right.tolerance == 1e-10 and f"in {dtype}" in right.remarks[0]
    for config, first, cause in (({"gelu": "tanh"}, "layer.0.hidden", "GELU in its tanh form"),
                                 ({"layer_norm_eps": 1.05e-6}, "layer.0.norm1", "eps is 1.05e-06")):
        comparison = minivit.compare(model, port(**config))
        assert comparison.first_difference == first and cause in comparison.cause


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_pixels_beside_an_image_are_judged_as_they_are_given(dtype):
    model = minivit.load(dtype="float64")
    steps = dict(minivit.forward(CAT, model).trace)
    some = {name: steps[name] for name in ("pixels", "patch_embedding", "embedded", "logits")}
    assert minivit.compare(model, steps | {"pixels": steps["pixels"].astype(dtype)}, CAT).agrees
    for off in (2 * TOLERANCE[dtype], -1):
        comparison = minivit.compare(model, some | {"pixels": (steps["pixels"] * (1 + off)).astype(dtype)}, CAT)
        assert comparison.first_difference == "pixels"


def test_gradients_beside_pixels_given_less_exactly(model, x):
    """The gradients of the exact pixels agree; one that is off by more than the rounding does not."""
    dy = np.random.default_rng(5).standard_normal((1, 7))
    steps = tracing.trace(model, x) | gradients_of(model, x, dy) | {"dlogits": dy}
    steps["pixels"] = steps["pixels"].astype("float32")
    assert minivit.compare(model, steps, gradients=True).agrees
    wrong = steps | {"gradient of head.weight": steps["gradient of head.weight"] * (1 + 1e-5)}
    assert minivit.compare(model, wrong, gradients=True).first_difference == "gradient of head.weight"


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5), ("float16", 1e-2)])
def test_arrays_of_one_precision_are_judged_by_it(dtype, tolerance, model, x):
    steps = {name: a.astype(dtype) for name, a in tracing.trace(model, x).items()}
    comparison = minivit.compare(model, steps)
    assert comparison.agrees and comparison.tolerance == tolerance and not comparison.remarks
    assert all(row.allowed >= tolerance for row in comparison.rows)
    for names in (["pixels"], ["pixels", "patches"]):
        assert minivit.compare(model, {name: steps[name] for name in names}).tolerance == tolerance


def test_gradients_asked_for_and_none_compared(model, x):
    steps = tracing.trace(model, x)
    weight = np.zeros((7, 24))
    for more, found in (({}, "steps alone"), ({"gradient of head.weigth": weight}, "gradient of head.weigth")):
        with pytest.raises(ValueError, match="holds no gradient") as error:
            minivit.compare(model, steps | more, gradients=True)
        told = str(error.value)
        assert found in told and '"gradient of NAME", such as "gradient of head.bias"' in told and "\n" not in told
    right = {"gradient of head.weight": gradients_of(model, x, np.ones((1, 7)))["gradient of head.weight"]}
    comparison = minivit.compare(model, {**steps, **right, "dlogits": np.ones((1, 7)), "gradient of b": weight},
                                 gradients=True)
    assert comparison.agrees and comparison.unused == ["gradient of b"] and not comparison.unasked


def test_gradients_not_asked_for_are_told(model, x):
    names = ["gradient of head.weight", "gradient of pixels", "gradient of norm.bias"]
    comparison = minivit.compare(model, tracing.trace(model, x) | dict.fromkeys([*names, "gradient of b"], x))
    assert comparison.agrees and comparison.unasked == names and comparison.unused == ["gradient of b"]
    lines = repr(comparison).splitlines()
    assert "not compared, as no step has these names: gradient of b" in lines
    assert ("not compared: gradient of head.weight, gradient of pixels, … (3 in all); give gradients=True "
            "(--gradients)") in lines


def test_gradients_of_arrays(model, x):
    dy = np.random.default_rng(5).standard_normal((1, 7))
    logits, cache = model.forward(x)
    dx, grads = model.backward(dy, cache)
    arrays = {"pixels": x, "dlogits": dy, "logits": logits, "gradient of pixels": dx}
    arrays |= {f"gradient of {name}": a for name, a in minivit.state_dict(model, grads).items()}
    assert minivit.compare(model, arrays, gradients=True).agrees
    halved = {name: a / 2 if "gradient" in name else a for name, a in arrays.items()}
    comparison = minivit.compare(model, halved, gradients=True)
    assert comparison.first_difference == "gradient of head.bias" and "0.5 times" in comparison.cause
    one = {**arrays, "gradient of blocks.1.attn.qkv.weight": arrays["gradient of blocks.1.attn.qkv.weight"] * 1.1}
    comparison = minivit.compare(model, one, gradients=True)
    assert comparison.first_difference == "gradient of blocks.1.attn.qkv.weight" and comparison.cause is None


def test_gradients_follow_where_the_forward_pass_differs(model):
    """A gradient has no input of its own: behind another eps, it is told as following, not as wrong in itself."""
    comparison = minivit.compare(model, changed(model, layer_norm_eps=1e-3), gradients=True)
    differing = [row for row in comparison.rows if row.name.startswith("gradient of ") and not row.agrees]
    assert len(differing) > 30 and all(row.right for row in differing)
    table = [line for line in repr(comparison).splitlines() if line.startswith("gradient of ")]
    assert sum(line.endswith("follows") for line in table) == len(differing)


def test_shapes_and_names_that_do_not_fit(model, x):
    comparison = minivit.compare(model, {"pixels": x, "logits": np.zeros((1, 9)), "something": x})
    assert "(1, 9)" in repr(comparison) and comparison.unused == ["something"]
    with pytest.raises(ValueError, match="none of the trace's steps"):
        minivit.compare(model, {"something": x})
    with pytest.raises(ValueError, match="expected"):
        minivit.compare(model, {"pixels": x[:, :4], "logits": np.zeros((1, 7))})
    with pytest.raises(ValueError, match="image_size"):
        minivit.compare(model, changed(model, image_size=(16, 16)))


def test_not_finite_values_differ(model, x):
    steps = tracing.trace(model, x)
    comparison = minivit.compare(model, {"pixels": x, "logits": np.full_like(steps["logits"], np.nan)})
    assert not comparison.agrees and "not finite" in repr(comparison)


def test_the_variations_start_from_the_model_itself(model, x):
    """Without a switch thrown, the steps are those of the trace, whole or from a layer on."""
    steps = tracing.trace(model, x)
    plain = dict(variations.steps(model, x))
    assert list(plain) == list(steps)
    assert all(np.allclose(plain[name], steps[name], rtol=1e-12, atol=1e-12) for name in steps)
    later = dict(variations.steps(model, x, z=steps["layer.0.output"], first_layer=1))
    assert np.allclose(later["logits"], steps["logits"], rtol=1e-12)


def test_every_variation_changes_something(model, x):
    """Each would be seen: under it, some step differs from the model's own."""
    steps = tracing.trace(model, x)
    for variation in variations.known(model):
        different = copy.copy(steps)
        for name, array in variations.steps(model, x, variation):
            if array.shape == steps[name].shape and np.array_equal(array, steps[name]):
                different.pop(name)
        assert different, variation.cause


def test_the_command(model, x, tmp_path, capsys):
    minivit.save(model, tmp_path / "model.safetensors", dtype="float64")
    np.savez(tmp_path / "steps.npz", **tracing.trace(model, x))
    files = [str(tmp_path / "model.safetensors"), str(tmp_path / "steps.npz")]
    assert cli.main(["compare", *files]) == 0
    assert "rows agree" in capsys.readouterr().out
    np.savez(tmp_path / "steps.npz", **tracing.trace(changed(model, gelu="tanh"), x))
    assert cli.main(["compare", *files]) == 1
    assert 'gelu="tanh"' in capsys.readouterr().out
    assert cli.main(["compare", files[0], str(tmp_path / "none.npz")]) == 2
