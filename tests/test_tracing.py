from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL, images, peaked_model, relative_error

import minivit
from minivit import tracing

LAYER = ["norm1", "query", "key", "value", "scores", "attention", "attended", "residual1", "norm2", "hidden", "mlp",
         "output"]
NAMES = ["pixels", "patches", "patch_embedding", "tokens", "embedded",
         *[f"layer.{i}.{name}" for i in range(3) for name in LAYER],
         "norm", "representation", "logits", "probabilities"]
OPTIONS = {"cls": {}, "tanh": {"gelu": "tanh"}, "mean": {"pool": "mean"}, "sincos2d": {"position": "sincos2d"},
           "mean, no [CLS], no positions": {"pool": "mean", "class_token": False, "position": "none"}}


@pytest.fixture(scope="module")
def steps():
    return tracing.trace(peaked_model(), images())


def test_every_step_is_named_in_order(steps):
    assert list(steps) == NAMES


def test_shapes(steps):
    B, N, T, D, H, M, K = 3, 20, 21, 24, 3, 40, 7
    expected = {"pixels": (B, 16, 20, 3), "patches": (B, N, 48), "patch_embedding": (B, N, D), "tokens": (B, T, D),
                "embedded": (B, T, D), "norm": (B, T, D), "representation": (B, D), "logits": (B, K),
                "probabilities": (B, K)}
    of_layer = {name: (B, T, D) for name in LAYER} | {name: (B, H, T, D // H) for name in ("query", "key", "value")}
    of_layer |= {"scores": (B, H, T, T), "attention": (B, H, T, T), "hidden": (B, T, M)}
    expected |= {f"layer.{i}.{name}": shape for i in range(3) for name, shape in of_layer.items()}
    assert {name: a.shape for name, a in steps.items()} == expected


@pytest.mark.parametrize("changes", OPTIONS.values(), ids=OPTIONS)
def test_the_trace_ends_where_the_model_does(changes):
    config = replace(SMALL, **changes)
    model, x = peaked_model(config), images(config)
    steps = tracing.trace(model, x)
    assert list(steps) == NAMES
    assert relative_error(steps["logits"], model(x)) <= 1e-13


def test_each_step_follows_from_those_before(steps):
    for i in range(3):
        before = steps["embedded"] if i == 0 else steps[f"layer.{i - 1}.output"]
        at = {name: steps[f"layer.{i}.{name}"] for name in LAYER}
        assert relative_error(at["residual1"], before + at["attended"]) <= 1e-15
        assert relative_error(at["output"], at["residual1"] + at["mlp"]) <= 1e-15
        products = np.einsum("bhic,bhjc->bhij", at["query"], at["key"]) / np.sqrt(8)
        assert relative_error(at["scores"], products) <= 1e-14
        exponentials = np.exp(products)
        assert relative_error(at["attention"], exponentials / exponentials.sum(-1, keepdims=True)) <= 1e-13
    assert np.array_equal(steps["representation"], steps["norm"][:, 0])
    assert np.abs(steps["probabilities"].sum(axis=-1) - 1).max() <= 1e-15


def test_mean_pooling_reads_the_patches():
    config = replace(SMALL, pool="mean")
    steps = tracing.trace(peaked_model(config), images(config))
    assert steps["norm"].shape == (3, 24) and np.array_equal(steps["norm"], steps["representation"])


def test_a_model_without_head_ends_at_its_representation():
    config = replace(SMALL, num_classes=0)
    model, x = peaked_model(config), images(config)
    steps = tracing.trace(model, x)
    assert list(steps) == NAMES[:-2] and relative_error(steps["representation"], model(x)) <= 1e-14


def test_attention_maps_are_the_attention_of_every_layer(steps):
    maps = tracing.attention_maps(peaked_model(), images())
    assert len(maps) == 3
    for i, attention in enumerate(maps):
        assert np.array_equal(attention, steps[f"layer.{i}.attention"])


def test_tracing_changes_nothing():
    model, x = peaked_model(), images()
    before, kept = model(x), x.copy()
    tracing.trace(model, x)
    assert np.array_equal(x, kept) and np.array_equal(model(x), before)


@pytest.mark.parametrize("changes", [{}, {"pool": "mean"}, {"class_token": False, "pool": "mean"}, {"num_classes": 0},
                                     {"image_size": (16, 24)}])
def test_the_numbers_of_a_trace_are_counted(changes):
    config = minivit.variants.as_config(minivit.ViTConfig(8, 16, 2, 24, 4, 5, 16), **changes)
    model = minivit.init(config, seed=0)
    steps = minivit.tracing.trace(model, np.zeros((3, *config.height_width, 3), np.float32))
    assert sum(array.size for array in steps.values()) == 3 * minivit.counting.trace_count(config)


def test_what_cannot_fit_is_told_before_it_begins(monkeypatch):
    from minivit.engine import memory
    model = minivit.init(minivit.ViTConfig(8, 16, 2, 24, 4, 5, 16), seed=0)
    x = np.zeros((3, 16, 16, 3), np.float32)
    needed = 4 * 3 * minivit.counting.trace_count(model.config)
    monkeypatch.setattr(memory, "total", lambda: needed)
    minivit.tracing.trace(model, x)
    monkeypatch.setattr(memory, "total", lambda: needed - 1)
    with pytest.raises(MemoryError, match=r"the trace of 3 image\(s\) would take 0.0 GB, and there are"):
        minivit.tracing.trace(model, x)
    monkeypatch.setattr(memory, "total", lambda: 10 ** 9)
    with pytest.raises(MemoryError, match=r"632,045,800 parameters in float32 would take 2.5 GB"):
        minivit.init("H/14")
