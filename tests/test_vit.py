"""Whole models: three layers, three heads, three non-square images of 20 patches, peaked attention, every option."""

from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL, WIDE, copied, images, peaked_model, peakedness, relative_error

import minivit
from minivit import head, vit
from minivit.engine import tiles
from minivit.trees import flatten, tree_map

CONFIGS = {
    "[CLS], learned, erf": SMALL,
    "tanh": replace(WIDE, gelu="tanh"),
    "mean": replace(WIDE, pool="mean"),
    "mean without [CLS]": replace(WIDE, pool="mean", class_token=False),
    "sincos2d": replace(WIDE, position="sincos2d"),
    "no positions": replace(WIDE, position="none"),
    "sincos2d, mean without [CLS], tanh": replace(WIDE, position="sincos2d", pool="mean", class_token=False,
                                                  gelu="tanh"),
    "no head": replace(WIDE, num_classes=0),
}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def gradients(model, x, seed=5):
    """logits and {name: gradient} for a random upstream gradient."""
    logits, cache = model.forward(x)
    dx, grads = model.backward(np.random.default_rng(seed).standard_normal(logits.shape), cache)
    return logits, {"x": dx, **flatten(grads)}


@each_config
def test_gradients_equal_finite_differences(config):
    model, x = peaked_model(config), images(config)
    assert config.num_layers >= 3 and config.num_heads >= 2 and len(x) >= 3 and config.num_tokens >= 20
    assert config.height_width[0] != config.height_width[1]
    maps = minivit.tracing.attention_maps(model, x)
    assert all(0.2 <= peakedness(a) <= 0.45 for a in maps), [peakedness(a) for a in maps]
    report = minivit.gradient_check(model, x)
    assert {row.name for row in report.rows} == {"x", *flatten(model.params)}
    assert report.passed and report.worst <= 1e-7, f"\n{report}"


@each_config
def test_key_biases_have_no_gradient(config):
    _, grads = gradients(peaked_model(config), images(config))
    largest = max(np.abs(g).max() for g in grads.values())
    for i in range(config.num_layers):
        query, key, value = np.split(grads[f"blocks.{i}.attn.qkv.bias"], 3)
        assert np.abs(key).max() <= 1e-12 * largest
        assert min(np.abs(query).max(), np.abs(value).max()) > 1e-4 * largest


@each_config
def test_gradients_are_nested_like_the_parameters(config):
    model, x = peaked_model(config), images(config)
    logits, cache = vit.forward(x, model.params, config)
    dx, grads = vit.backward(np.ones_like(logits), cache)
    shapes = {name: w.shape for name, w in flatten(model.params).items()}
    assert {name: g.shape for name, g in flatten(grads).items()} == shapes and dx.shape == x.shape
    assert logits.shape == (3, config.num_classes or config.width)


def test_neither_direction_changes_what_it_is_given_and_backward_can_be_repeated(rng):
    model, x = peaked_model(), images()
    dlogits = rng.standard_normal((3, 7))
    kept = copied({"x": x, "dlogits": dlogits, **model.params})
    logits, cache = vit.forward(x, model.params, SMALL)
    first = copied(dict(zip(("dx", "grads"), vit.backward(dlogits, cache))))
    vit.backward(2 * dlogits, cache)
    again = dict(zip(("dx", "grads"), vit.backward(dlogits, cache)))
    for name, before in flatten(kept).items():
        assert np.array_equal(flatten({"x": x, "dlogits": dlogits, **model.params})[name], before), name
    for name, gradient in flatten(first).items():
        assert np.array_equal(flatten(again)[name], gradient), name
    assert np.array_equal(vit.forward(x, model.params, SMALL)[0], logits)


@each_config
def test_without_a_cache_the_logits_are_the_same(config, monkeypatch):
    model, x = peaked_model(config), images(config)
    logits, _ = vit.forward(x, model.params, config)
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": 500})
    without, cache = vit.forward(x, model.params, config, with_cache=False)
    assert cache is None and relative_error(without, logits) <= 1e-13


@each_config
def test_only_what_the_head_reads_leaves_the_last_layer(config, monkeypatch):
    model, x = peaked_model(config), images(config)
    left, real = [], head.forward
    monkeypatch.setattr(head, "forward", lambda z, *args: left.append(z.shape[1]) or real(z, *args))
    logits, grads = gradients(model, x)
    monkeypatch.setattr(vit, "queries_of_layers", lambda config: [slice(None)] * config.num_layers)
    by_all, grads_by_all = gradients(model, x)
    assert (left[0], left[-1]) == (1 if config.pool == "cls" else config.num_tokens, config.num_tokens)
    assert relative_error(logits, by_all) <= 1e-13
    largest = max(np.abs(g).max() for g in grads_by_all.values())
    assert all(np.abs(g - grads_by_all[name]).max() <= 1e-13 * largest for name, g in grads.items())


def test_float32_stays_float32():
    model, x = peaked_model(), images()
    logits64, grads64 = gradients(model, x)
    logits, grads = gradients(model.astype("float32"), x.astype(np.float32))
    assert logits.dtype == np.float32 and relative_error(logits, logits64) <= 1e-5
    for name, gradient in grads.items():
        assert gradient.dtype == np.float32 and relative_error(gradient, grads64[name]) <= 2e-5, name


def test_images_do_not_meet():
    model, x = peaked_model(), images()
    logits, _ = gradients(model, x)
    for b in range(3):
        assert relative_error(model(x[b:b + 1])[0], logits[b]) <= 1e-13
    _, cache = model.forward(x)
    dx, _ = model.backward(np.eye(3)[:, 1:2] * np.ones((3, 7)), cache)
    assert (dx[0] == 0).all() and (dx[1] != 0).all() and (dx[2] == 0).all()


@pytest.mark.parametrize("config, matters", [
    (CONFIGS["no positions"], False), (replace(WIDE, position="none", pool="mean"), False),
    (SMALL, True), (CONFIGS["sincos2d"], True)], ids=["none, [CLS]", "none, mean", "learned", "sincos2d"])
def test_the_order_of_the_patches_matters_only_through_positions(config, matters, rng):
    model, x = peaked_model(config), images(config)
    patches = minivit.patch_embedding.patchify(x, config.patch_size)
    shuffled = minivit.patch_embedding.unpatchify(patches[:, rng.permutation(20)], config.patch_size, config.grid)
    difference = relative_error(model(shuffled), model(x))
    assert difference > 1e-2 if matters else difference <= 1e-12


def test_the_configs_eps_reaches_every_norm(monkeypatch):
    seen, real = [], minivit.layer_norm.forward
    monkeypatch.setattr(minivit.layer_norm, "forward",
                        lambda x, params, eps, *cache: (params and seen.append(eps)) or real(x, params, eps, *cache))
    config = replace(SMALL, layer_norm_eps=0.125)
    peaked_model(config)(images(config, B=1))
    assert seen == [0.125] * (2 * config.num_layers + 1)


def test_heads_of_the_config_are_used():
    model, x = peaked_model(), images()
    two = minivit.VisionTransformer(replace(SMALL, num_heads=2), model.params)
    assert relative_error(two(x), model(x)) > 1e-2


def test_gradients_add_up_over_the_batch():
    model, x = peaked_model(), images()
    dlogits = np.random.default_rng(5).standard_normal((3, 7))
    _, cache = vit.forward(x, model.params, SMALL)
    _, whole = vit.backward(dlogits, cache)
    parts = []
    for b in range(3):
        _, cache = vit.forward(x[b:b + 1], model.params, SMALL)
        parts.append(vit.backward(dlogits[b:b + 1], cache)[1])
    summed = tree_map(lambda *leaves: sum(leaves), *parts)
    for name, gradient in flatten(whole).items():
        if not name.endswith("qkv.bias"):                               # its key third is rounding alone
            assert relative_error(flatten(summed)[name], gradient) <= 1e-12, name
