"""`compare` on a plain port of the relatives: it agrees with each family, and mistakes of one line are named."""

from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL, images, peaked_model
from plain_port import run
from relatives_port import TEXT
from test_relatives import FAMILIES

import minivit
from minivit.tracing import trace

COMPARED = {name: replace(config, gelu="erf" if config.gelu == "tanh" else config.gelu)
            for name, config in FAMILIES.items() if not config.pool_prefix}
REGISTERS, DISTILLED, MAP, SCALED, SWIGLU, CLIP = (
    COMPARED[name] for name in ("registers", "distilled", "attention pooling", "LayerScale", "SwiGLU", "CLIP"))
WITH_CLS_ROW, MEAN = (COMPARED[name] for name in ("registers, [CLS] with a position", "mean after the norm"))
MEAN_BEFORE = replace(MEAN, pool="mean")

FROM_THE_FIRST = "    z = z + np.concatenate([E, np.zeros((1, T - E.shape[1], D))], axis=1)\n"
JOIN, PLACE = "z = np.concatenate([cls, dist, reg, z], axis=1)", "    z = z + place\n"
LS1, LS2 = '            o = o * w["ls1"]["gamma"]\n', '            m = m * w["ls2"]["gamma"]\n'
NORM_PRE, GATE = 'z = layer_norm(z, params["norm_pre"])', "h = silu(one) * two"
ANSWER = "logits = (one + two) / 2"
TWO = 'one, two = linear(c[:, 0], params["head"]), linear(c[:, 1], params["head_dist"])'
GELU, END = "h = gelu(h)\n", "    p = o + m\n"
AFTER = '''    elif config.pool == "normed_mean":
        c = z[:, T - N:].mean(axis=1)'''
FINAL = '    z = layer_norm(z, params.get("norm", params.get("fc_norm")))\n'
BEFORE = '    if config.pool == "mean":\n        z = z[:, T - N:].mean(axis=1)\n'

# (family, old line, new line, the step that differs first, words of the cause)
MISTAKES = [
    (SCALED, LS1, "            pass\n", "layer.0.attended_scaled", "LayerScale is missing after attention"),
    (SCALED, LS2, "            pass\n", "layer.0.mlp_scaled", "LayerScale is missing after the MLP"),
    (SCALED, LS1, '            o = o * w["ls2"]["gamma"]\n', "layer.0.attended_scaled", "ls1 and ls2 are swapped"),
    (REGISTERS, JOIN, "z = np.concatenate([cls, dist, z, reg], axis=1)", "tokens", "registers stand after the"),
    (REGISTERS, JOIN, "z = np.concatenate([reg, cls, dist, z], axis=1)", "tokens", "registers stand before [CLS]"),
    (REGISTERS, JOIN, "z = np.concatenate([cls, dist, 0 * reg, z], axis=1)", "tokens", "reg_token is not loaded"),
    (REGISTERS, PLACE, FROM_THE_FIRST, "embedded", "added to the first tokens, registers among"),
    (WITH_CLS_ROW, PLACE, FROM_THE_FIRST, "embedded", "added to the first tokens"),
    (DISTILLED, JOIN, "z = np.concatenate([dist, cls, reg, z], axis=1)", "tokens", "distillation token stands before"),
    (DISTILLED, ANSWER, "logits = one", "logits", "first head's alone"),
    (DISTILLED, ANSWER, "logits = two", "logits", "second head's alone"),
    (DISTILLED, ANSWER, "logits = one + two", "logits", "added instead of averaged"),
    (DISTILLED, TWO, 'one, two = linear(c[:, 0], params["head_dist"]), linear(c[:, 1], params["head"])', "logits_cls",
     "the two heads are swapped"),
    (MEAN, AFTER, '    elif config.pool == "normed_mean":\n        c = z.mean(axis=1)', "representation",
     "mean of all tokens"),
    (MEAN, AFTER, '    elif config.pool == "normed_mean":\n        c = z[:, 0]', "representation", "[CLS]"),
    (WITH_CLS_ROW, GELU, "h = h / (1 + np.exp(-1.702 * h))\n", "layer.0.hidden", "QuickGELU"),
    (CLIP, GELU, "h = 0.5 * h * (1 + erf(h / math.sqrt(2)))\n", "layer.0.hidden", 'gelu="erf", found "quick"'),
    (SWIGLU, GATE, "h = one * silu(two)", "layer.0.hidden", "halves of SwiGLU are swapped"),
    (SWIGLU, GATE, "h = gelu(one) * two", "layer.0.hidden", "GELU in place of SiLU"),
    (SWIGLU, GATE, "h = one * two", "layer.0.hidden", "no activation"),
    (MAP, END, "    p = m\n", "representation", "residual is missing"),
    (MAP, END, "    p = o\n", "representation", "MLP is missing"),
    (MAP, 'k, v = (heads(part) for part in np.split(linear(z, w["kv"])',
     'v, k = (heads(part) for part in np.split(linear(z, w["kv"])', "pool.key", "keys and values are swapped"),
    (MAP, 'q = heads(linear(latent, w["q"]))', "q = heads(latent)", "pool.query", "the latent itself"),
    (CLIP, NORM_PRE, "z = z", "norm_pre", "the norm before the layers is missing"),
]


def steps_of(config, changes=(), dtype=np.float64):
    model, x = peaked_model(config), images(config, B=2)
    return model, run(model, x, changes, dtype, TEXT)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("config", COMPARED.values(), ids=COMPARED)
def test_the_port_agrees(config, dtype):
    model, steps = steps_of(config, (), dtype)
    assert list(steps) == list(trace(model, images(config, B=2)))
    comparison = minivit.compare(model, steps)
    assert comparison.agrees and comparison.cause is None and len(comparison.rows) == len(steps), comparison


@pytest.mark.parametrize("config, old, new, first, words", MISTAKES, ids=[f"{m[3]}: {m[4]}" for m in MISTAKES])
def test_a_mistake_is_named(config, old, new, first, words):
    model, steps = steps_of(config, [(old, new)])
    comparison = minivit.compare(model, steps)
    assert comparison.first_difference == first
    assert comparison.cause and words in comparison.cause and ";" not in comparison.cause, comparison


@pytest.mark.parametrize("config, old, new, first, words", MISTAKES, ids=[f"{m[3]}: {m[4]}" for m in MISTAKES])
def test_no_false_cause_from_the_logits_alone(config, old, new, first, words):
    """Fewer arrays show less: what is named, if anything is, is the mistake."""
    model, steps = steps_of(config, [(old, new)])
    comparison = minivit.compare(model, {name: steps[name] for name in ("pixels", "logits")})
    assert not comparison.agrees
    assert comparison.cause is None or words in comparison.cause, comparison.cause


def test_both_scales_forgotten_is_one_cause():
    """A port that never had LayerScale has none of its steps."""
    model, steps = steps_of(SCALED, [(LS1, "            pass\n"), (LS2, "            pass\n")])
    steps = {name: a for name, a in steps.items() if not name.endswith("_scaled")}
    comparison = minivit.compare(model, steps)
    assert comparison.first_difference == "layer.0.residual1"
    assert comparison.cause == "LayerScale is missing: the branches are added as they are"


def test_no_norm_before_the_layers_at_all():
    model, steps = steps_of(CLIP, [(NORM_PRE, "z = z")])
    del steps["norm_pre"]
    comparison = minivit.compare(model, steps)
    assert comparison.first_difference == "layer.0.norm1"
    assert comparison.cause == "the norm before the layers is missing"


def test_what_the_mean_before_the_norm_gives_as_one_vector():
    model, steps = steps_of(MEAN, [(FINAL, '    steps["norm"] = layer_norm(z[:, T - N:].mean(axis=1), params["norm"])\n'
                                    '    z = np.repeat(steps["norm"][:, None], T, axis=1)\n'),
                                   ('    steps["norm"] = z\n    if config.pool == "map"',
                                    '    if config.pool == "map"')])
    comparison = minivit.compare(model, steps)
    assert "mean before norm" in comparison.cause


def test_the_mean_after_the_norm_of_a_model_that_has_it_before():
    model, steps = steps_of(MEAN_BEFORE, [(BEFORE, ""), ('    elif config.pool == "mean":\n        c = z\n',
                                                         '    elif config.pool == "mean":\n'
                                                         '        c = z[:, T - N:].mean(axis=1)\n')])
    comparison = minivit.compare(model, steps)
    assert comparison.first_difference == "norm" and comparison.cause == "the read-out is another: mean after norm"


def test_a_second_model_of_another_family_differs():
    """Two models of minivit: a relative against the same weights without its further parts."""
    model = peaked_model(SCALED)
    plain = model.with_params({**model.params, "blocks": [{name: part for name, part in block.items()
                                                           if name not in ("ls1", "ls2")}
                                                          for block in model.params["blocks"]]})
    plain.config = replace(SCALED, layer_scale=False)
    comparison = minivit.compare(model, plain, np.random.default_rng(0).random((16, 20, 3)))
    assert comparison.cause == "LayerScale is missing: the branches are added as they are"
    assert minivit.compare(model, model, np.random.default_rng(0).random((16, 20, 3)), gradients=True).agrees


def test_a_tokens_gradient_without_its_axes():
    """CLIP's class_embedding is a vector."""
    model, x = peaked_model(CLIP), images(CLIP, B=2)
    from minivit.checking import gradients
    arrays = {"pixels": x} | gradients.gradients_of(model, x, gradients.upstream(model, x, None))
    arrays["gradient of cls_token"] = arrays["gradient of cls_token"][0, 0]
    assert minivit.compare(model, arrays, gradients=True).agrees


@pytest.mark.parametrize("config", COMPARED.values(), ids=COMPARED)
def test_nothing_known_is_what_a_family_does_itself(config):
    """No variation leaves the model's own steps as they are and would yet be named."""
    model, x = peaked_model(config), images(config, B=1)
    ours = trace(model, x)["logits"]
    for variation in minivit.checking.variations.readouts.of_head(model):
        try:
            made = dict(minivit.checking.variations.steps(model, x, variation))["logits"]
        except (ValueError, KeyError):
            continue
        assert np.abs(made - ours).max() > 1e-6, variation.cause


def test_gradient_check_of_the_sections():
    rng = np.random.default_rng(0)
    for name, section, part, options in (("attention pooling", minivit.attention_pooling, "attn_pool",
                                          {"num_heads": 3, "gelu": "tanh"}),
                                         ("LayerScale", minivit.layer_scale, None, {})):
        model = peaked_model(FAMILIES[name])
        params = model.params[part] if part else model.params["blocks"][0]["ls1"]
        assert minivit.gradient_check(section, rng.standard_normal((2, 5, 24)), params, **options).passed
    assert minivit.gradient_check(minivit.swiglu, rng.standard_normal((2, 5, 8))).passed
    wrong = peaked_model(MAP)
    assert not minivit.gradient_check(_with_half_the_latent(), rng.standard_normal((2, 5, 24)),
                                      wrong.params["attn_pool"], num_heads=3).passed
    assert minivit.gradient_check(peaked_model(replace(MAP, num_layers=1)), images(SMALL, B=1), directions=1).passed


def _with_half_the_latent():
    from types import SimpleNamespace

    def backward(dy, cache):
        dx, grads = minivit.attention_pooling.backward(dy, cache)
        return dx, {**grads, "latent": grads["latent"] / 2}
    return SimpleNamespace(forward=minivit.attention_pooling.forward, backward=backward)
