"""Agreement with PyTorch to 1e-12: reference/*.npz holds what timm computed in float64 (make_reference.py makes it)."""

import json
from pathlib import Path

import numpy as np
import pytest
from peaked import peakedness, relative_error
from safetensors.numpy import save_file

import minivit
from minivit import loss

NAMES = ("cls_learned", "cls_tanh", "mean_cross_entropy", "mean_no_cls_no_positions")
ALLOWED = 1e-12


class Reference:
    """One file: timm's arrays, and minivit's model with the same weights, read as a checkpoint under timm's names."""

    def __init__(self, name, folder):
        with np.load(Path(__file__).parent / "reference" / f"{name}.npz") as file:
            self.arrays = dict(file)
        settings = json.loads(str(self.arrays["settings"]))
        config = minivit.ViTConfig(**settings)
        file = folder / f"{name}.safetensors"
        save_file(self.group("weight"), file)
        self.model = minivit.load(file, dtype="float64", num_heads=config.num_heads, image_size=config.image_size,
                                  gelu=config.gelu)
        assert self.model.config == config
        self.x = self.arrays["images"].astype(np.float64)

    def group(self, kind):
        """The arrays named `kind:…`, under the rest of their names."""
        return {key.partition(":")[2]: self.arrays[key] for key in self.arrays if key.startswith(kind + ":")}


@pytest.fixture(scope="module", params=NAMES)
def reference(request, tmp_path_factory):
    return Reference(request.param, tmp_path_factory.mktemp("reference"))


def test_logits(reference):
    logits = reference.model(reference.x)
    assert logits.dtype == np.float64 and relative_error(logits, reference.arrays["logits"]) <= ALLOWED


def test_every_step(reference):
    steps = minivit.tracing.trace(reference.model, reference.x[:1])
    theirs = reference.group("step")
    without_counterpart = {"pixels", "patches", "logits"} | ({"tokens"} if "tokens" not in theirs else set())
    assert set(steps) - set(theirs) == without_counterpart and set(theirs) <= set(steps)
    for name, expected in theirs.items():
        found = steps[name]
        if name == "norm" and reference.model.config.pool == "cls":
            assert found.shape == (1, reference.model.config.num_tokens, reference.model.config.width)
        assert found.shape == expected.shape, name
        assert relative_error(found, expected) <= ALLOWED, name


def test_the_reference_is_peaked(reference):
    maps = [a for name, a in reference.group("step").items() if name.endswith(".attention")]
    assert len(maps) == reference.model.config.num_layers
    assert all(0.2 <= peakedness(a) <= 0.45 for a in maps)


def test_every_gradient(reference):
    logits, cache = reference.model.forward(reference.x)
    if "labels" in reference.arrays:
        value, loss_cache = loss.forward(logits, reference.arrays["labels"])
        assert relative_error(value, reference.arrays["loss"]) <= ALLOWED
        dlogits = loss.backward(loss_cache)
    else:
        dlogits = reference.arrays["dlogits"]
    dx, grads = reference.model.backward(dlogits, cache)
    assert relative_error(dx, reference.arrays["dimages"]) <= ALLOWED
    ours, theirs = minivit.state_dict(reference.model, grads), reference.group("gradient")
    assert set(ours) == set(theirs)
    for name, expected in theirs.items():
        assert ours[name].shape == expected.shape, name
        assert relative_error(ours[name], expected) <= ALLOWED, name


def test_weights_come_back_under_timms_names(reference):
    ours, theirs = minivit.state_dict(reference.model), reference.group("weight")
    assert set(ours) == set(theirs)
    for name, expected in theirs.items():
        assert np.array_equal(ours[name], expected), name


@pytest.mark.parametrize("mistake", [{"gelu": "tanh"}, {"layer_norm_eps": 1e-5}, {"num_heads": 3}])
def test_a_wrong_convention_is_seen(mistake, tmp_path):
    """The tolerance is tight enough to tell one convention from another."""
    right = Reference("cls_learned", tmp_path)
    wrong = minivit.load(tmp_path / "cls_learned.safetensors", dtype="float64",
                         **{"num_heads": 2, "image_size": (8, 10)} | mistake)
    assert relative_error(wrong(right.x), right.arrays["logits"]) > 1e6 * ALLOWED


def test_the_gradients_that_chapter_10_is_held_against():
    theirs = minivit.samples.pytorch_gradients()
    config = minivit.ViTConfig(**theirs["settings"])
    model = minivit.load(theirs["weights"], dtype="float64", num_heads=config.num_heads, image_size=config.image_size)
    value, grads = model.loss_and_gradients(theirs["images"], theirs["labels"])
    assert relative_error(value, theirs["loss"]) <= ALLOWED
    ours = minivit.state_dict(model, grads)
    assert len(ours) == 80 and set(ours) == set(theirs["gradients"]) == set(theirs["weights"])
    for name, expected in theirs["gradients"].items():
        assert ours[name].shape == expected.shape and relative_error(ours[name], expected) <= ALLOWED, name
