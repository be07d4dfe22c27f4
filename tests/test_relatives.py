"""Whole networks of each family: gradients, the trace, counts, weights out and in."""

from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL, images, peaked_model, relative_error

import minivit
from minivit import loss, vit
from minivit.checkpoints.timm import expected_shapes
from minivit.counting import trace_count
from minivit.trees import flatten

FAMILIES = {
    "distilled": replace(SMALL, dist_token=True, pool="distilled"),
    "distillation token, [CLS] read": replace(SMALL, dist_token=True),
    "LayerScale": replace(SMALL, layer_scale=True),
    "registers": replace(SMALL, layer_scale=True, registers=3, prefix_positions=False),
    "registers, [CLS] with a position": replace(SMALL, registers=3),
    "SwiGLU": replace(SMALL, layer_scale=True, gated_mlp=True),
    "attention pooling": replace(SMALL, class_token=False, pool="map", gelu="tanh"),
    "attention pooling beside [CLS]": replace(SMALL, pool="map", pool_prefix=True),
    "mean after the norm": replace(SMALL, pool="normed_mean"),
    "mean after the norm, no [CLS]": replace(SMALL, pool="normed_mean", class_token=False),
    "mean after the norm, with [CLS]": replace(SMALL, pool="normed_mean", pool_prefix=True),
    "mean before the norm, with [CLS]": replace(SMALL, pool="mean", pool_prefix=True),
    "no qkv bias": replace(SMALL, qkv_bias=False),
    "CLIP": replace(SMALL, norm_pre=True, patch_bias=False, gelu="quick", layer_norm_eps=1e-5),
    "MAE": replace(SMALL, position="fixed"),
}
family = pytest.mark.parametrize("config", FAMILIES.values(), ids=FAMILIES)


@family
def test_gradients_equal_finite_differences(config):
    model, x, labels = peaked_model(config), images(config), np.array([0, 3, 5])

    def value(x):
        return loss.forward(vit.forward(x, model.params, config, with_cache=False)[0], labels)[0]

    logits, cache = vit.forward(x, model.params, config)
    dx, grads = vit.backward(loss.backward(loss.forward(logits, labels)[1]), cache)
    tensors, gradients = flatten(model.params) | {"x": x}, flatten(grads) | {"x": dx}
    assert list(gradients) == list(tensors)
    rng, h = np.random.default_rng(0), 1e-5
    for name, tensor in tensors.items():
        assert gradients[name].shape == tensor.shape, name
        for _ in range(3):
            direction = rng.standard_normal(tensor.shape)
            direction /= np.linalg.norm(direction)
            kept = tensor.copy()
            tensor[...] = kept + h * direction
            above = value(x)
            tensor[...] = kept - h * direction
            below = value(x)
            tensor[...] = kept
            slope = float((gradients[name] * direction).sum())
            assert slope == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-8), name


@family
def test_the_trace_ends_at_the_logits(config):
    model, x = peaked_model(config), images(config)
    trace = minivit.forward(list(np.random.default_rng(0).random((2, *config.height_width, 3))), model).trace
    steps = minivit.tracing.trace(model, x)
    assert relative_error(steps["logits"], model(x)) <= 1e-13
    assert sum(array.size for array in steps.values()) == len(x) * trace_count(config)
    assert list(trace) == list(steps)


@family
def test_the_trace_of_a_model_without_classes_ends_at_its_representation(config):
    config = replace(config, num_classes=0)
    model, x = peaked_model(config), images(config)
    steps = minivit.tracing.trace(model, x)
    assert relative_error(steps["representation"], model(x)) <= 1e-13
    assert sum(array.size for array in steps.values()) == len(x) * trace_count(config)


@family
def test_the_counts_are_those_of_the_weights(config):
    model = minivit.init(config)
    assert minivit.parameter_count(config) == sum(a.size for a in flatten(model.params).values())
    assert {name: a.shape for name, a in minivit.state_dict(model).items()} == expected_shapes(config)


@family
def test_the_last_layer_computes_what_is_read_alone(config):
    """As in the plain ViT: the trace, which computes all tokens, has the same logits."""
    model, x = peaked_model(config), images(config)
    logits, _ = vit.forward(x, model.params, config, with_cache=False)
    assert relative_error(minivit.tracing.trace(model, x)["logits"], logits) <= 1e-13


@family
def test_saved_and_loaded(config, tmp_path):
    model, x = peaked_model(config), images(config)
    minivit.save(model, tmp_path / "model.safetensors")
    again = minivit.load(tmp_path / "model.safetensors", dtype="float64")
    assert again.config == config and np.array_equal(again(x), model(x))


@family
def test_a_step_of_training_changes_every_weight(config):
    from minivit.training.optimiser import AdamW
    model, x = peaked_model(config), images(config)
    before = {name: a.copy() for name, a in flatten(model.params).items()}
    _, grads = model.loss_and_gradients(x, np.array([0, 3, 5]))
    AdamW.for_params(model.params).step(model.params, grads, 1e-3, 0.1)
    for name, a in flatten(model.params).items():
        assert not np.array_equal(a, before[name]), name
