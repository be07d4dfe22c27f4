"""The kernels that docs/gpu.md says a model starts on a GPU, counted on the strict stand-in."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit import gelu, layer_norm, softmax
from minivit.engine import tiles
from minivit.training import muon, optimiser, state
from minivit.training.recipe import Recipe
from tests.strict_array import fake_cupy, on_device, watched

PAGE = Path(__file__).parents[3] / "docs" / "gpu.md"


@pytest.fixture(autouse=True)
def cuda(monkeypatch):
    """CuPy as the stand-in."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())


def counted():
    """{what: kernels started} of a model with twelve layers."""
    config = minivit.ViTConfig(patch_size=4, width=8, num_layers=12, mlp_width=8, num_heads=2, image_size=8,
                               num_classes=3)
    model = minivit.init(config).to("cuda")
    x, t = on_device(np.ones((2, 8, 8, 3), np.float32)), on_device(np.eye(3, dtype=np.float32)[:2])
    a, norm = x[..., 0, :], {"weight": x[0, 0, 0], "bias": x[0, 0, 0]}
    _, norm_cache = layer_norm.forward(a, norm)
    one = {"a.weight": a}
    step_of_one = optimiser.AdamW.for_params(one).step
    steps = {
        "GELU": lambda: gelu.forward(a, with_cache=False),
        "GELU and its slope": lambda: gelu.forward(a),
        "softmax": lambda: softmax.forward(a),
        "softmax, gradient": lambda: softmax.backward(a, a),
        "LayerNorm": lambda: layer_norm.forward(a, norm),
        "LayerNorm, gradient": lambda: layer_norm.backward(a, norm_cache),
        "AdamW, a parameter": lambda: step_of_one(one, one, 1e-3, 0.05),
        "forward pass": lambda: model(x),
        "forward pass and gradients": lambda: model.loss_and_gradients(x, t),
        "clipping": lambda: optimiser.clip(model.params, 1.0),
    }
    for kind in (optimiser.AdamW, muon.Muon):
        step = kind.for_params(model.params).step
        steps[kind.__name__] = lambda step=step: step(model.params, model.params, 1e-3, 0.05)
    averaging = state.State(model.params, types.SimpleNamespace(step=lambda *_: None), model.params)
    steps["moving average"] = lambda: averaging.update(None, 1e-3, Recipe(average=0.9))
    counts = {}
    for name, step in steps.items():
        with watched() as watch:
            step()
        counts[name] = watch.started()
    return counts


def test_the_documented_counts(monkeypatch):
    fused_counts = counted()
    for module in (tiles, optimiser, muon, state):
        monkeypatch.setattr(module, "fused", lambda function, *arrays: function(*arrays))
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    documented = {name: tuple(int(n.replace(",", "")) for n in numbers) for name, *numbers in rows}
    assert documented == {name: (count, fused_counts[name]) for name, count in counted().items()}
