"""`compare` on a plain port with one line changed: which step it names, and which cause.

The mistakes are changes of the port's text, made without minivit's code. Each that stands in the table has words of its
own for its cause; those that are drawn must be named in four of five cases.
"""

from dataclasses import replace

import numpy as np
import port_mistakes
import pytest
from peaked import SMALL, images, peaked_model
from plain_port import run

import minivit
from minivit.checking import causes

LAYERS = 4


@pytest.fixture(scope="module")
def model():
    return peaked_model(replace(SMALL, num_layers=LAYERS))


@pytest.fixture(scope="module")
def x():
    return images(SMALL, B=2)


def verdict(model, x, mistake):
    return minivit.compare(model, run(model, x, [(mistake.old, mistake.new)]))


def is_named(comparison, mistake):
    return bool(comparison.cause) and any(word in comparison.cause for word in mistake.words)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_port_without_a_mistake_agrees(model, x, dtype):
    comparison = minivit.compare(model, run(model, x, dtype=dtype))
    assert comparison.agrees and comparison.cause is None
    assert len(comparison.rows) == 5 + 12 * LAYERS + 4


@pytest.mark.parametrize("mistake", port_mistakes.MISTAKES, ids=[m.name for m in port_mistakes.MISTAKES])
def test_a_mistake_of_the_table(model, x, mistake):
    comparison = verdict(model, x, mistake)
    assert comparison.first_difference == mistake.first
    if mistake.words:
        assert is_named(comparison, mistake), comparison.cause
        assert ";" not in comparison.cause
    else:
        assert comparison.cause is None
        assert comparison.shows.startswith(f"what {mistake.first} shows: ") and "to go on: " in comparison.shows


def test_most_causes_of_the_table_are_known():
    table = port_mistakes.MISTAKES
    assert len({mistake.new for mistake in table}) >= 150
    assert sum(bool(mistake.words) for mistake in table) >= 0.95 * len(table)


@pytest.mark.parametrize("seed", range(4))
def test_mistakes_that_are_drawn(model, x, seed):
    """In one layer alone, with other numbers, with other layers' weights."""
    drawn = port_mistakes.draw(np.random.default_rng(seed), 25, LAYERS)
    verdicts = [(mistake, verdict(model, x, mistake)) for mistake in drawn]
    assert [(m.name, m.first) for m, c in verdicts] == [(m.name, c.first_difference) for m, c in verdicts]
    unnamed = [(m.name, c.cause) for m, c in verdicts if not is_named(c, m)]
    assert len(unnamed) <= 0.2 * len(drawn), unnamed


def test_a_layer_order_as_strings_are_sorted(x):
    model = peaked_model(replace(SMALL, num_layers=12))
    steps = run(model, x, [("w = blocks[i]", "w = blocks[sorted(range(L), key=str)[i]]")])
    comparison = minivit.compare(model, steps)
    assert comparison.first_difference == "layer.2.norm1" and "as strings are sorted" in comparison.cause


def test_layers_that_are_missing_at_the_end(model, x):
    steps = run(model, x, [("for i in range(L)", "for i in range(L - 1)")])
    comparison = minivit.compare(model, steps)
    assert comparison.first_difference == "norm" and comparison.cause.startswith("the last layer is missing")


def test_two_mistakes_are_named_one_after_the_other(model, x):
    two = [(port_mistakes.FC2, 'm = h @ w["mlp"]["fc2"]["weight"]'), (port_mistakes.READ, "c = z[:, -1]")]
    cause = minivit.compare(model, run(model, x, two)).cause
    assert cause.index("mlp.fc2.bias is missing") < cause.index("the last token")


EPS = [None, 1e-12, 1e-8, 1e-7, 1e-5, 3e-5, 1e-3]


@pytest.mark.parametrize("scale", [1.0, 0.03])
@pytest.mark.parametrize("eps", EPS, ids=str)
@pytest.mark.parametrize("only_logits", [False, True])
def test_the_eps_of_a_float32_port_is_named_rightly_or_not_at_all(model, x, scale, eps, only_logits):
    """Where the tokens' variance is 1, rounding hides 1e-12 from 1e-6; where it is small, eps shows."""
    params = {**model.params, **{name: model.params[name] * scale for name in ("pos_embed", "cls_token")},
              "patch_embed": {"proj": {k: a * scale for k, a in model.params["patch_embed"]["proj"].items()}}}
    small = model.with_params(params)
    change = [] if eps is None else [(port_mistakes.XHAT, f"xhat = (x - mean) / np.sqrt(variance + np.float32({eps}))")]
    steps = run(small, x, change, np.float32)
    assert all(array.dtype == np.float32 for array in steps.values())
    if only_logits:
        steps = {"pixels": steps["pixels"], "logits": steps["logits"]}
    comparison = minivit.compare(small, steps)
    if eps is None:
        assert comparison.agrees
    if comparison.cause:
        side = "below" if eps < 1e-6 else "above"
        numbers = [float(word.strip(",;:")) for word in comparison.cause.split("layer_norm_eps=")[1:]
                   for word in word.split()[:1]]
        assert all(abs(number - eps) <= 0.01 * eps for number in numbers)
        assert numbers or f"eps is {side} 1e-06" in comparison.cause
        assert "GELU" not in comparison.cause
    if scale < 1 and eps == 1e-3:
        assert "eps is 0.001" in comparison.cause


@pytest.mark.parametrize("seed", range(4))
def test_eps_is_not_sure_where_one_token_agrees_with_itself(model, seed):
    """[CLS] has a much smaller variance than the patches, and with it nearly all of the weight."""
    quiet = np.ones((SMALL.num_tokens, 1))
    quiet[0] = 0.03
    small = model.with_params({**model.params, "cls_token": model.params["cls_token"] * quiet[0],
                               "pos_embed": model.params["pos_embed"] * quiet})
    change = [(port_mistakes.XHAT, "xhat = (x - mean) / np.sqrt(variance + np.float32(1e-12))")]
    steps = run(small, images(SMALL, B=1, seed=seed), change, np.float32)
    cause = minivit.compare(small, steps).cause or ""
    assert "layer_norm_eps=" not in cause or "eps is 1e-12" in cause, cause


@pytest.mark.parametrize("only_logits", [False, True])
def test_sharp_attention_in_float32_is_rounding(monkeypatch, x, only_logits):
    """Rounding that grows through twelve layers of sharp attention is larger than float32's usual tolerance.

    It needs no cause, so none is looked for, which would take a minute.
    """
    monkeypatch.setattr(causes, "find", None)
    sharp = peaked_model(replace(SMALL, num_layers=12), query_key_std=9)
    steps = run(sharp, x, dtype=np.float32)
    if only_logits:
        steps = {"pixels": steps["pixels"], "logits": steps["logits"]}
    comparison = minivit.compare(sharp, steps)
    assert max(row.relative for row in comparison.rows) > 10 * comparison.tolerance
    assert comparison.agrees and comparison.cause is None and "more than rounding" in repr(comparison)


def test_float32_numbers_stored_as_float64_are_judged_as_float32(model, x):
    steps = {name: a.astype(np.float64) for name, a in run(model, x, dtype=np.float32).items()}
    assert minivit.compare(model, steps).agrees
    change = [(port_mistakes.GELU, "return np.maximum(h, 0)")]
    steps = {name: a.astype(np.float64) for name, a in run(model, x, change, np.float32).items()}
    comparison = minivit.compare(model, steps)
    assert comparison.first_difference == "layer.0.hidden" and "ReLU" in comparison.cause


def test_a_step_computed_in_float32_is_rounding(model, x):
    change = [(port_mistakes.SOFTMAX, "a = softmax(s.astype(np.float32)).astype(np.float64)")]
    comparison = minivit.compare(model, run(model, x, change))
    assert comparison.first_difference == "layer.0.attention" and comparison.cause.startswith("rounding as in float32")


def rounded_to(bits):
    def change(a):
        significand, exponent = np.frexp(a)
        return np.ldexp(np.round(significand * 2 ** bits) / 2 ** bits, exponent)
    return change


WEIGHTS = {"float16": lambda a: a.astype("f2").astype("f8"), "bfloat16": rounded_to(8),
           "int8": lambda a: np.round(a / (np.abs(a).max() / 127)) * (np.abs(a).max() / 127),
           "int8, one scale an output channel": lambda a: a if a.ndim < 2 else
           np.round(a / (np.abs(a).max(axis=0) / 127)) * (np.abs(a).max(axis=0) / 127)}


@pytest.mark.parametrize("words", WEIGHTS)
def test_rounded_weights(model, x, words):
    rounded = model.with_params(minivit.trees.tree_map(WEIGHTS[words], model.params))
    comparison = minivit.compare(model, run(rounded, x))
    assert comparison.first_difference == "patch_embedding"
    assert f"rounded to {words}" in comparison.cause and ";" not in comparison.cause


def test_weights_in_a_format_that_is_not_known_are_told_by_their_bits(model, x):
    comparison = minivit.compare(model, run(model.with_params(minivit.trees.tree_map(rounded_to(13), model.params)), x))
    assert comparison.cause.startswith("rounding: ") and "bits" in comparison.cause


@pytest.mark.parametrize("bits, words", [(8, "bfloat16"), (11, "TF32 or float16")])
def test_steps_kept_in_fewer_bits(model, x, bits, words):
    """bfloat16 has 8 bits of significand, float16 and TF32 have 11."""
    steps = minivit.tracing.trace(model, x)
    kept = {name: a if name == "pixels" else rounded_to(bits)(a) for name, a in steps.items()}
    comparison = minivit.compare(model, kept)
    assert f"as {words} rounds: weights or steps were kept in fewer bits" in comparison.cause


def test_scores_with_a_mask_in_them(model, x):
    change = [(port_mistakes.SCALE, "s = np.where(np.tri(T) > 0, s / math.sqrt(d), -np.inf)")]
    comparison = minivit.compare(model, run(model, x, change))
    assert comparison.first_difference == "layer.0.scores" and "causal mask" in comparison.cause


def test_arrays_in_other_shapes_are_the_same_numbers(model, x):
    """Patches in their grid, heads side by side, one image without its axis, the final norm of [CLS] alone."""
    steps = run(model, x[:1])
    other = {**steps, "patch_embedding": steps["patch_embedding"].reshape(1, 4, 5, 24), "norm": steps["norm"][:, 0],
             "layer.0.query": steps["layer.0.query"].transpose(0, 2, 1, 3).reshape(1, 21, 24),
             "layer.1.output": steps["layer.1.output"][0]}
    assert minivit.compare(model, other).agrees
    assert minivit.compare(model, {**other, "patch_embedding": steps["patch_embedding"].reshape(1, 4, 5, 24)
                                   .transpose(0, 3, 1, 2)}).agrees
    assert not minivit.compare(model, {**other, "patch_embedding": steps["patch_embedding"].reshape(1, 5, 4, 24)
                                       .transpose(0, 2, 1, 3)}).agrees
