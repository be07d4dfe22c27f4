"""Mimetic initialisation: products of the form that the paper gives, parted evenly, and attention that is local."""

from dataclasses import replace

import numpy as np
import pytest

import minivit
from minivit.explain.attention.distance import mean_attention_distance
from minivit.tracing import attention_maps
from minivit.training.mimetic import mimic
from minivit.trees import flatten

D, H, N, CLS = 96, 4, 64, 1
CONFIG = minivit.ViTConfig(patch_size=4, width=D, num_layers=2, mlp_width=64, num_heads=H, num_classes=5, image_size=32)


def mimicked(config=CONFIG, seed=0):
    model = minivit.init(config, seed=1, dtype="float64")
    mimic(model.params, config, np.random.default_rng(seed))
    return model


def attention_of(model, layer):
    """query, key, value (D, D) and the projection (D, D) of a layer."""
    attn = model.params["blocks"][layer]["attn"]
    return *np.split(attn["qkv"]["weight"], 3, axis=1), attn["proj"]["weight"]


def is_standard_normal(z):
    """Mean 0, variance 1 and as many beyond one deviation as a normal variable has, 31.7 %."""
    assert abs(z.mean()) <= 4.5 / np.sqrt(z.size) and abs(z.std() - 1) <= 4.5 / np.sqrt(2 * z.size)
    assert abs((np.abs(z) > 1).mean() - 0.3173) <= 4.5 * 0.466 / np.sqrt(z.size)


@pytest.mark.parametrize("layer", [0, 1])
def test_value_and_projection_take_away(layer):
    *_, value, proj = attention_of(mimicked(), layer)
    z = (value @ proj + 0.4 * np.eye(D)) / 0.4 * np.sqrt(D)
    is_standard_normal(z)
    is_standard_normal(np.diag(z))
    np.testing.assert_allclose(value.T @ value, proj @ proj.T, atol=1e-10)                # parted evenly: both are S


@pytest.mark.parametrize("layer", [0, 1])
def test_a_single_head_looks_at_its_like(layer):
    query, key, *_ = attention_of(mimicked(replace(CONFIG, num_heads=1)), layer)
    z = (query @ key.T - 0.7 * np.eye(D)) / 0.7 * np.sqrt(D)
    is_standard_normal(z)
    is_standard_normal(np.diag(z))
    np.testing.assert_allclose(query.T @ query, key.T @ key, atol=1e-10)


def test_several_heads_have_the_largest_parts_of_such_products():
    """For 0.7 (Z / √D + I) of 96 rows, drawn by itself: the 24 largest singular values and what they leave of I."""
    rng = np.random.default_rng(7)
    drawn = [np.linalg.svd(0.7 * (rng.standard_normal((D, D)) / np.sqrt(D) + np.eye(D))) for _ in range(40)]
    expected = np.mean([s[:D // H] for _, s, _ in drawn], axis=0)
    trace = np.mean([np.trace(u[:, :D // H] * s[:D // H] @ vt[:D // H]) for u, s, vt in drawn])
    found, traces = [], []
    for seed in range(5):
        query, key, *_ = attention_of(mimicked(seed=seed), 0)
        for q, k in zip(np.split(query, H, axis=1), np.split(key, H, axis=1)):
            squares = q.T @ q
            np.testing.assert_allclose(squares, k.T @ k, atol=1e-10)
            np.testing.assert_allclose(squares, np.diag(np.diag(squares)), atol=1e-10)
            found.append(np.diag(squares))
            traces.append(np.trace(q @ k.T))
    np.testing.assert_allclose(np.mean(found, axis=0), expected, rtol=0.03)
    assert np.mean(traces) == pytest.approx(trace, rel=0.05)


def test_no_two_products_are_alike():
    model = mimicked()
    products = []
    for layer in (0, 1):
        query, key, value, proj = attention_of(model, layer)
        products += [q @ k.T for q, k in zip(np.split(query, H, axis=1), np.split(key, H, axis=1))] + [value @ proj]
    for i, a in enumerate(products):
        assert all(np.abs(a - b).max() > 0.1 for b in products[:i])
    assert all((a != b).any() for a, b in zip(attention_of(model, 0), attention_of(mimicked(seed=1), 0)))


def test_the_rest_stays():
    before, after = flatten(minivit.init(CONFIG, seed=1, dtype="float64").params), flatten(mimicked().params)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"pos_embed"} | {f"blocks.{i}.attn.{part}.weight" for i in (0, 1) for part in ("qkv", "proj")}


@pytest.mark.parametrize("changes, before", [
    ({}, 1), ({"registers": 2}, 1), ({"dist_token": True, "pool": "distilled"}, 2),
    ({"class_token": False, "pool": "mean"}, 0)])
def test_positions_are_sines_and_cosines(changes, before):
    config = replace(CONFIG, **changes)
    table = mimicked(config).params["pos_embed"][0]
    assert len(table) == before + N and not table[:before].any()
    frequency = 10_000 ** (-np.arange(D // 4) / (D / 4))
    for row, column in ((0, 0), (0, 7), (3, 5), (7, 2)):
        expected = np.concatenate([f(place * frequency) for place in (column, row) for f in (np.sin, np.cos)])
        np.testing.assert_allclose(table[before + 8 * row + column], expected, atol=1e-12)


@pytest.mark.parametrize("position", ["fixed", "sincos2d", "none"])
def test_positions_that_are_not_learned_stay(position):
    config = replace(CONFIG, position=position)
    before, after = minivit.init(config, seed=1, dtype="float64").params, mimicked(config).params
    assert ("pos_embed" in after) == (position == "fixed")
    if position == "fixed":
        np.testing.assert_array_equal(after["pos_embed"], before["pos_embed"])


def test_a_width_that_has_no_sines_and_cosines():
    config = replace(CONFIG, width=90, num_heads=3)
    with pytest.raises(ValueError, match="need a width that 4 divides, found 90"):
        mimicked(config)


def test_attention_is_local():
    """In the first layer patches look at patches nearer than random weights do, for any image."""
    x = np.random.default_rng(2).standard_normal((4, 32, 32, 3))

    def distance(model):
        return mean_attention_distance(attention_maps(model, x), CONFIG.grid, CONFIG.patch_size)[0].mean()

    assert distance(mimicked()) < 0.8 * distance(minivit.init(CONFIG, seed=1, dtype="float64"))
