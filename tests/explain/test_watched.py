"""The watched arrays: what they note, that they compute what NumPy does, and that their counts are docs/gpu.md's."""

import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minivit
from minivit import gelu, layer_norm, softmax
from minivit.explain.costs import device_time
from minivit.explain.costs.call_sheet import kernels
from minivit.explain.costs.watched import Call, Watched, recorded, unwrapped
from minivit.trees import tree_map
from tests import strict_array, strict_kernels

ROWS = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \|$",
                  (Path(__file__).parents[2] / "docs" / "gpu.md").read_text("utf-8"), re.MULTILINE)
DOCUMENTED = {name: tuple(int(n.replace(",", "")) for n in numbers) for name, *numbers in ROWS}


def model(layers, width=8):
    return minivit.init(minivit.ViTConfig(patch_size=4, width=width, num_layers=layers, mlp_width=8, num_heads=2,
                                          image_size=8, num_classes=3), seed=0)


def forward_calls(model, B, with_cache=False):
    x = np.random.default_rng(0).random((B, *model.config.height_width, 3)).astype(np.float32)
    (logits, _), calls = recorded(minivit.vit.forward, Watched(x), tree_map(Watched, model.params), model.config,
                                  with_cache)
    np.testing.assert_allclose(unwrapped(logits), model(x), rtol=1e-5, atol=1e-6)
    return calls


def counts(calls):
    return len(kernels(calls)), len(kernels(device_time.fused(calls)))


def test_the_counts_are_those_of_the_page():
    a, norm = Watched(np.ones((2, 8), np.float32)), {"weight": Watched(np.ones(8, np.float32)),
                                                     "bias": Watched(np.ones(8, np.float32))}
    assert counts(forward_calls(model(12), 1)) == DOCUMENTED["forward pass"]
    assert counts(recorded(softmax.forward, a)[1]) == DOCUMENTED["softmax"]
    assert counts(recorded(layer_norm.forward, a, norm)[1]) == DOCUMENTED["LayerNorm"]
    assert counts(recorded(gelu.forward, a, with_cache=False)[1]) == DOCUMENTED["GELU"]


def test_what_a_call_computes_and_moves():
    x, w = Watched(np.ones((2, 3, 4), np.float32)), Watched(np.ones((4, 5), np.float32))
    _, (product, total, copied, *_) = recorded(lambda: (x @ w, x.sum(axis=-1), x.__setitem__(slice(0, 1), x[1:])))
    assert product[:5] == ("matmul", "", 2 * 2 * 3 * 4 * 5, 4 * (24 + 20 + 30), 4 * 30)
    assert total[:5] == ("sum", "", 24, 4 * (24 + 6), 4 * 6)
    assert copied[:5] == ("copy", "", 0, 4 * 24, 4 * 12)


def test_an_array_that_is_there_already_is_not_copied():
    x = Watched(np.ones(4))

    def add():
        x[1:] += x[:-1]

    assert [call.name for call in recorded(add)[1]] == ["add"]


@pytest.mark.parametrize("convert", [np.asarray, lambda x: np.zeros(3).__setitem__(..., x), lambda x: np.array([x])])
def test_nothing_moves_by_itself(convert):
    with pytest.raises(TypeError, match="nothing moves by itself"):
        convert(Watched(np.ones(3)))


def test_costs_are_straight_lines_in_the_batch():
    small = model(2)
    one, two, five = (forward_calls(small, B) for B in (1, 2, 5))
    assert [c[:5] for c in device_time.with_batch(one, two, 5)] == [c[:5] for c in five]
    with pytest.raises(ValueError, match="expected the same calls for one image and two, found"):
        device_time.with_batch(one, two[1:], 5)


def test_the_time_of_a_pass():
    calls = [Call("matmul", "", 1000, 10, 0, None), Call("add", "", 1, 600, 0, None),
             Call("reshape", "", 0, 0, 0, None)]
    np.testing.assert_allclose(device_time.work(calls, 100, 20), [10, 30, 0])
    assert device_time.pass_seconds(calls, 100, 20, 7, asynchronous=False) == 2 * 7 + 40
    assert device_time.pass_seconds(calls, 100, 20, 7) == 40
    assert device_time.pass_seconds(calls, 100, 20, 70) == 140


def test_a_fused_chain_moves_its_passes():
    a = Watched(np.ones((2, 8), np.float32))
    calls = device_time.fused(recorded(softmax.forward, a)[1])
    computing = kernels(calls)
    assert [c.name for c in computing] == ["softmax"] * 3
    assert sum(c.bytes for c in computing) == pytest.approx(4 * 64, abs=3)


def test_the_figure_has_a_line_for_each_way_on_each_device():
    one, two = (forward_calls(model(1), B) for B in (1, 2))
    figure = device_time.batch_time_figure({"by call": lambda B: device_time.with_batch(one, two, B)}, (1, 4),
                                           {"a": (1e9, 1e9), "b": (1e12, 1e12)}, (1e-6, 1e-5, 1e-4))
    line = figure.axes[1].lines[0]
    assert line.get_ydata()[0] == pytest.approx(
        1e3 * device_time.pass_seconds(one, 1e12, 1e12, 1e-5))
    assert len(figure.axes) == 2
    plt.close(figure)


@pytest.mark.parametrize("name, run", [
    ("erf_form", lambda a, norm: gelu.forward(a, with_cache=False)),
    ("tanh_form", lambda a, norm: gelu.forward(a, "tanh", with_cache=False)),
    ("softmax", lambda a, norm: softmax.forward(a)),
    ("normalise", lambda a, norm: layer_norm.forward(a, norm, with_cache=False))])
def test_a_chain_reads_and_writes_as_often_as_the_model_says(monkeypatch, name, run):
    passes, large = [], (6, 8)
    monkeypatch.setitem(sys.modules, "cupy", strict_array.fake_cupy())
    for kind in (strict_kernels.ElementwiseKernel, strict_kernels.ReductionKernel):
        monkeypatch.setattr(kind, "__call__", lambda self, *args, call=kind.__call__, **keywords: (
            passes.append(sum(getattr(a, "shape", ()) == large for a in args)), call(self, *args, **keywords))[1])
    a = strict_array.on_device(np.ones(large, np.float32))
    norm = {key: strict_array.on_device(np.ones(8, np.float32)) for key in ("weight", "bias")}
    with strict_array.watched() as watch:
        run(a, norm)
    reads = watch.calls["ndarray.max"] + watch.calls["ndarray.mean"]    # CuPy's own kernels: each reads its array once
    assert (watch.started(), sum(passes) + reads) == device_time.CHAINS[name]
