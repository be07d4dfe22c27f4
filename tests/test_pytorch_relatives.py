"""Agreement of the relatives with PyTorch to 1e-12: reference/relatives.npz holds what timm computed in float64.

reference/make_relatives.py makes it; test_pytorch_reference.py has the plain ViT's.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from peaked import relative_error
from safetensors.numpy import save_file

import minivit

ARRAYS = np.load(Path(__file__).parent / "reference" / "relatives.npz")
FAMILIES = list(dict.fromkeys(name.partition("/")[0] for name in ARRAYS.files))
ALLOWED = 1e-12


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """(timm's arrays of a family, minivit's model of the same weights, read as a file under timm's names)."""
    arrays = {name.partition("/")[2]: ARRAYS[name] for name in ARRAYS.files if name.startswith(request.param + "/")}
    settings = json.loads(str(arrays["settings"]))
    config = minivit.ViTConfig(**settings)
    folder = tmp_path_factory.mktemp("relatives")
    file = folder / f"{request.param}.safetensors"
    save_file(group(arrays, "weight"), file)
    if not config.qkv_bias:             # which a file must say: lost biases would look the same
        (folder / "config.json").write_text('{"pretrained_cfg": {}, "model_args": {"qkv_bias": false}}')
    model = minivit.load(file, dtype="float64", num_heads=config.num_heads, image_size=config.image_size,
                         gelu=config.gelu, layer_norm_eps=config.layer_norm_eps)
    assert model.config == config
    return arrays, model


def group(arrays, kind):
    """The arrays named `kind:…`, under the rest of their names."""
    return {name.partition(":")[2]: array for name, array in arrays.items() if name.startswith(kind + ":")}


def test_the_file_holds_every_family():
    assert FAMILIES == ["distilled", "registers", "giant", "siglip", "map", "clip", "normed_mean", "no_qkv_bias"]


def test_values(family):
    arrays, model = family
    assert relative_error(model(arrays["images"].astype(np.float64)), arrays["result"]) <= ALLOWED


def test_the_trace_ends_there_too(family):
    arrays, model = family
    steps = minivit.tracing.trace(model, arrays["images"].astype(np.float64))
    last = "logits" if model.config.num_classes else "representation"
    assert relative_error(steps[last], arrays["result"]) <= ALLOWED


def test_every_gradient(family):
    arrays, model = family
    _, cache = model.forward(arrays["images"].astype(np.float64))
    dx, grads = model.backward(arrays["dresult"], cache)
    assert relative_error(dx, arrays["dimages"]) <= ALLOWED
    ours, theirs = minivit.state_dict(model, grads), group(arrays, "gradient")
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert ours[name].shape == gradient.shape and relative_error(ours[name], gradient) <= ALLOWED, name
