"""The other libraries' networks that benchmarks/ measure compute what minivit computes, and train as it trains."""

import importlib
import sys

import numpy as np
import pytest

import minivit
from benchmarks import cases, numpy_network
from benchmarks.cases import Case

pytestmark = pytest.mark.parity
SMALL = minivit.variants.as_config("Ti/16", num_layers=3, image_size=64, num_classes=7)


@pytest.fixture
def weights(tmp_path):
    return cases.weights_file(Case("small", SMALL, 2), tmp_path)


def batch():
    return cases.fresh_batch(SMALL, 2, np.random.default_rng(0))


def relative(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def torch_network(weights, monkeypatch, library):
    from benchmarks import torch_network
    if library == "torchvision":
        torch_network.network_class()                   # declares what torchvision's import may need
        monkeypatch.setitem(sys.modules, "timm", None)
    network = torch_network.Network(weights, SMALL, 2, threads=1)
    assert network.library.startswith(library)
    return network


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_pytorch(weights, monkeypatch, library):
    theirs, mine = torch_network(weights, monkeypatch, library), numpy_network.Network(weights, SMALL, 2, threads=1)
    x, labels = batch()
    assert relative(mine.forward(x, labels), theirs.forward(*theirs.arranged(x, labels)).numpy()) < 1e-5
    ours, reference = mine.first_step(x, labels), theirs.first_step(*theirs.arranged(x, labels))
    assert ours.keys() == reference.keys()
    for name, array in ours.items():
        assert relative(array, reference[name]) < 1e-4, name


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_the_same_tensors_decay(weights, monkeypatch, library):
    """With a large decay for all that decays, weights would part within a step if the rule differed."""
    monkeypatch.setattr("benchmarks.torch_network.WEIGHT_DECAY", 1000.0)
    monkeypatch.setattr("benchmarks.numpy_network.WEIGHT_DECAY", 1000.0)
    theirs, mine = torch_network(weights, monkeypatch, library), numpy_network.Network(weights, SMALL, 2, threads=1)
    x, labels = batch()
    ours, reference = mine.first_step(x, labels), theirs.first_step(*theirs.arranged(x, labels))
    assert relative(ours["logits after the step"], reference["logits after the step"]) < 1e-3


def test_jax(weights):
    pytest.importorskip("jax")
    x, labels = batch()
    network = importlib.import_module("benchmarks.jax_network").Network(weights, SMALL, 2, threads=1)
    mine = numpy_network.Network(weights, SMALL, 2, threads=1).forward(x, labels)
    assert relative(np.asarray(network.forward(*network.arranged(x, labels))), mine) < 1e-5


@pytest.mark.parametrize("module, package", [("onnxruntime_network", "onnxruntime"), ("openvino_network", "openvino")])
def test_libraries_that_read_onnx(weights, module, package):
    pytest.importorskip(package)
    pytest.importorskip("onnx")
    assert importlib.import_module("benchmarks.onnx_files").export(Case("small", SMALL, 2), weights, threads=1) is None
    x, labels = batch()
    network = importlib.import_module(f"benchmarks.{module}").Network(weights, SMALL, 2, threads=1)
    mine = numpy_network.Network(weights, SMALL, 2, threads=1).forward(x, labels)
    assert relative(network.forward(*network.arranged(x, labels)), mine) < 1e-5


def test_what_minivit_bench_times_is_the_same_network():
    from minivit.commands import bench
    model = minivit.init(SMALL, seed=1)
    for array in (model.params["head"]["weight"], model.params["blocks"][0]["attn"]["qkv"]["weight"]):
        array += np.random.default_rng(0).standard_normal(array.shape, np.float32) / 10
    x, labels = batch()
    network = bench.timm_network(model, 1)
    assert network.library.startswith("timm") and relative(model(x), network.logits(x)) < 1e-5
    network.train(*network.arranged(x, labels))
    _, grads = model.loss_and_gradients(x, labels)
    theirs = dict(network.module.named_parameters())
    for name, gradient in minivit.state_dict(model, grads).items():
        assert relative(gradient, theirs[name].grad.numpy()) < 1e-4 or "qkv.bias" in name, name
    found = bench.measured(SMALL, 2, True, 1, 2)
    assert found["error"] < 1e-5 and len(found["timm"]) == len(found["minivit"]) == 2
