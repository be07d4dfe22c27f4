"""Training the relatives: fixed positions stay, both heads learn, tokens before the patches are never dropped."""

from dataclasses import replace

import numpy as np
import pytest
from peaked import images, peaked_model, relative_error
from test_fine_tuning import BODY, PLAIN, plain_colours
from toy_data import write_folder

import minivit
from minivit import vit
from minivit.checkpoints.new_head import for_classes
from minivit.commands import cli
from minivit.training import frozen, loop, muon, patch_dropout
from minivit.training.dropped import Draw
from minivit.training.loop import train
from minivit.training.muon import Muon
from minivit.trees import flatten

DISTILLED = replace(BODY, dist_token=True, pool="distilled")
REGISTERS = replace(BODY, registers=3, prefix_positions=False, layer_scale=True)
FIXED = replace(BODY, position="fixed")
SIGLIP = replace(BODY, class_token=False, pool="map")
GIANT = replace(BODY, gated_mlp=True, layer_scale=True)
FAMILIES = {"distilled": DISTILLED, "registers": REGISTERS, "fixed": FIXED, "map": SIGLIP, "SwiGLU": GIANT,
            "CLIP": replace(BODY, norm_pre=True, patch_bias=False, gelu="quick")}
WHOLE = replace(PLAIN, freeze=False, largest_gradient=5.0)


def start_of(config):
    return for_classes(peaked_model(config, dtype="float32"), ["blue", "red"])[0]


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize("average", [None, 0.9])
def test_fixed_positions_are_never_trained(tmp_path, optimiser, average):
    start = start_of(FIXED)
    recipe = replace(WHOLE, optimiser=optimiser, average=average or 0.0)
    found = train(plain_colours(), start.config, recipe, tmp_path, start=start, progress=False)
    assert np.array_equal(found.params["pos_embed"], start.params["pos_embed"])
    again = minivit.load(tmp_path / "model.safetensors")
    assert again.config.position == "fixed"
    assert np.array_equal(again.params["pos_embed"], start.params["pos_embed"])
    learned = replace(start.config, position="learned")
    other = train(plain_colours(), learned, recipe, tmp_path / "learned",
                  start=minivit.VisionTransformer(learned, start.params, labels=start.labels), progress=False)
    assert not np.array_equal(other.params["pos_embed"], start.params["pos_embed"])


def test_the_gradient_of_what_is_not_trained_does_not_count_in_the_norm():
    """A step is clipped by the norm of what it changes: a huge gradient of fixed positions must not shrink it."""
    model = peaked_model(FIXED)
    grads = model.loss_and_gradients(images(FIXED), np.array([0, 1, 2]))[1]
    kept = frozen.trained(grads, False, FIXED)
    assert set(grads) - set(kept) == {"pos_embed"} and list(kept) == [name for name in grads if name != "pos_embed"]
    assert frozen.trained(grads, False, BODY).keys() == grads.keys()
    assert frozen.trained(grads, True, DISTILLED).keys() == {"head"}


def test_what_is_clipped_is_what_is_trained(tmp_path, monkeypatch):
    seen, real = [], loop.clip
    monkeypatch.setattr(loop, "clip", lambda grads, largest: seen.append(set(grads)) or real(grads, largest))
    start = start_of(FIXED)
    train(plain_colours(), start.config, replace(WHOLE, epochs=1), tmp_path, start=start, progress=False)
    assert seen and all(names == set(start.params) - {"pos_embed"} for names in seen)


@pytest.mark.parametrize("patches, layers", [(0.0, 0.0), (0.5, 0.6)])
def test_the_frozen_pass_of_a_distilled_model(patches, layers):
    """Both heads' gradients are those of the whole pass."""
    model = peaked_model(DISTILLED)
    x, targets = images(DISTILLED, B=19), np.random.default_rng(2).dirichlet(np.ones(5), 19)
    draw = Draw.of(np.random.default_rng(3), 19, DISTILLED, patches, layers)
    value, grads, logits = frozen.training_pass(model, x, targets, draw)
    whole_value, whole_grads, whole_logits = model.training_pass(x, targets, draw)
    assert list(grads) == ["head", "head_dist"] and abs(value - whole_value) <= 1e-13
    assert relative_error(logits, whole_logits) <= 1e-13
    for name, gradient in flatten(grads).items():
        assert relative_error(gradient, flatten(whole_grads)[name]) <= 1e-13, name


def test_freezing_a_distilled_model_trains_both_heads_and_nothing_else(tmp_path):
    start = start_of(DISTILLED)
    found = flatten(train(plain_colours(), start.config, PLAIN, tmp_path, start=start, progress=False).params)
    changed = {name for name, a in flatten(start.params).items() if not np.array_equal(a, found[name])}
    assert changed == {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}


def test_both_heads_have_the_heads_rate(tmp_path):
    start = start_of(DISTILLED)
    found = train(plain_colours(), start.config, replace(PLAIN, freeze=False, epochs=1), tmp_path, start=start,
                  progress=False)
    for head in ("head", "head_dist"):
        np.testing.assert_allclose(np.abs(found.params[head]["weight"]), 0.03, rtol=1e-3)


@pytest.mark.parametrize("config", FAMILIES.values(), ids=FAMILIES)
def test_patches_are_dropped_behind_all_tokens_that_stand_before_them(config):
    """The gradients of a batch that shows half of its patches are those of its images one by one, cut by hand."""
    model, x = peaked_model(config), images(config, B=4)
    kept = patch_dropout.draw(np.random.default_rng(0), 4, config, 0.5)
    before = sum(model.params[name].shape[1] for name in ("cls_token", "dist_token", "reg_token")
                 if name in model.params)
    assert (kept[:, :before] == np.arange(before)).all() and (np.diff(kept, axis=1) > 0).all()
    assert kept.shape == (4, before + config.num_patches // 2) and kept[:, before:].min() >= before
    draw = Draw.of(np.random.default_rng(0), 4, config, 0.5, 0.0)
    logits = vit.forward(x, model.params, config, dropped=draw.chunk(slice(0, 4), "cpu"))[0]
    for i in range(4):
        alone, _ = vit.forward(x[i:i + 1], model.params, config, dropped=draw.chunk(slice(i, i + 1), "cpu"))
        assert relative_error(logits[i:i + 1], alone) <= 1e-13
    assert relative_error(logits, model(x)) > 1e-3


@pytest.mark.parametrize("config", FAMILIES.values(), ids=FAMILIES)
def test_gradients_with_dropped_patches_and_layers_are_finite_differences(config):
    model, x = peaked_model(config), images(config, B=4)
    draw = Draw.of(np.random.default_rng(5), 4, config, 0.5, 0.7).chunk(slice(0, 4), "cpu")
    dlogits = np.random.default_rng(6).standard_normal((4, config.num_classes))
    _, cache = vit.forward(x, model.params, config, dropped=draw)
    _, grads = vit.backward(dlogits, cache)
    rng, h = np.random.default_rng(7), 1e-5
    for name, tensor in flatten(model.params).items():
        direction = rng.standard_normal(tensor.shape)
        direction /= np.linalg.norm(direction)
        kept, values = tensor.copy(), []
        for sign in (1, -1):
            tensor[...] = kept + sign * h * direction
            values.append((vit.forward(x, model.params, config, with_cache=False, dropped=draw)[0] * dlogits).sum())
        tensor[...] = kept
        expected = (values[0] - values[1]) / (2 * h)
        assert (flatten(grads)[name] * direction).sum() == pytest.approx(expected, rel=1e-5, abs=1e-7), name


def test_muon_takes_the_two_maps_of_swiglu_apart(rng):
    """Each half moves as a matrix by itself does: both halves have all singular values near 1 times the step."""
    w = {"blocks": [{"mlp": {"fc1": {"weight": np.zeros((6, 16))}, "fc2": {"weight": np.zeros((8, 6))}}}]}
    grads = {"blocks": [{"mlp": {"fc1": {"weight": rng.standard_normal((6, 16))},
                                 "fc2": {"weight": rng.standard_normal((8, 6))}}}]}
    Muon.for_params(w).step(w, grads, 0.1, 0.0)
    fc1, g = w["blocks"][0]["mlp"]["fc1"]["weight"], grads["blocks"][0]["mlp"]["fc1"]["weight"]
    for half in (slice(0, 8), slice(8, 16)):
        expected = -0.1 * 0.2 * 8 ** 0.5 * muon.orthogonal(1.95 * g[:, half])
        assert relative_error(fc1[:, half], expected) <= 1e-13


@pytest.mark.parametrize("config", FAMILIES.values(), ids=FAMILIES)
def test_the_command_fine_tunes_a_relative(tmp_path, config, capsys):
    """All but the heads comes from the model, learned and fixed positions resampled; the body stays where frozen."""
    model = minivit.VisionTransformer(config, peaked_model(config, dtype="float32").params, labels=list("abcde"))
    minivit.save(model, tmp_path / "m.safetensors")
    write_folder(plain_colours(), tmp_path / "data")
    command = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--epochs", "1", "--batch-size", "16",
               "--held-out", "0", "--padding", "1", "--start", str(tmp_path / "m.safetensors"), "--freeze",
               "--image-size", "12x16"]
    assert cli.main(command) == 0
    found = minivit.load(tmp_path / "run")
    expected = minivit.load(tmp_path / "m.safetensors", image_size=(12, 16), num_classes=0)
    assert found.config == replace(config, num_classes=2, image_size=(12, 16))
    for name, array in flatten(expected.params).items():
        np.testing.assert_array_equal(flatten(found.params)[name], array)
    assert all(np.abs(found.params[head]["weight"]).max() > 0 for head in ("head", "head_dist") if head in found.params)


@pytest.mark.parametrize("config", [DISTILLED, REGISTERS], ids=["distilled", "registers"])
def test_loading_with_other_classes(tmp_path, config):
    model = peaked_model(config)
    minivit.save(model, tmp_path / "m.safetensors")
    seven = minivit.load(tmp_path / "m.safetensors", num_classes=7, dtype="float64")
    assert seven.config.num_classes == 7 and (seven(images(config)) == 0).all()
    assert set(seven.params) == set(model.params)
    none = minivit.load(tmp_path / "m.safetensors", num_classes=0, dtype="float64")
    representation = minivit.tracing.trace(model, images(config))["representation"]
    expected = representation.mean(axis=1) if config is DISTILLED else representation
    assert relative_error(none(images(config)), expected) <= 1e-13
