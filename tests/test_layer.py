import numpy as np
import pytest
from peaked import relative_error
from section_contract import SectionContract, attention_params, mlp_params, norm_params

from minivit import attention, layer, layer_norm, mlp
from minivit.engine import tiles
from minivit.trees import flatten

D, M, H, T = 8, 13, 2, 9


def layer_params(rng):
    return {"norm1": norm_params(rng, D), "attn": attention_params(rng, D),
            "norm2": norm_params(rng, D), "mlp": mlp_params(rng, D, M)}


class TestLayer(SectionContract):
    section = layer
    options = {"num_heads": H, "eps": 1e-6, "activation": "erf"}

    def case(self, rng):
        return rng.standard_normal((2, T, D)), layer_params(rng)


class TestTanhForm(TestLayer):
    options = {"num_heads": H, "eps": 1e-3, "activation": "tanh"}


class TestOneTokenAsks(TestLayer):
    options = {"num_heads": H, "queries": slice(0, 1)}


@pytest.mark.parametrize("queries", [slice(0, 1), slice(3, 7), slice(0, T)])
@pytest.mark.parametrize("scores_per_tile", [1, 10 ** 9])
def test_tokens_that_ask_get_what_they_would_among_all(rng, queries, scores_per_tile, monkeypatch):
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": scores_per_tile})
    x, params = rng.standard_normal((2, T, D)), layer_params(rng)
    whole, whole_cache = layer.forward(x, params, H)
    y, cache = layer.forward(x, params, H, queries=queries)
    assert relative_error(y, whole[:, queries]) <= 1e-14

    dy, silent = rng.standard_normal(y.shape), np.zeros_like(whole)                      # no gradient for the others
    silent[:, queries] = dy
    (dx, grads), (whole_dx, whole_grads) = layer.backward(dy, cache), layer.backward(silent, whole_cache)
    whole_grads = flatten(whole_grads)
    assert relative_error(dx, whole_dx) <= 1e-14
    assert all(relative_error(g, whole_grads[name]) <= 1e-13 for name, g in flatten(grads).items()
               if name != "attn.qkv.bias") and flatten(grads).keys() == whole_grads.keys()
    ours, theirs = grads["attn"]["qkv"]["bias"], whole_grads["attn.qkv.bias"]            # its key part is zero
    assert np.abs(ours - theirs).max() <= 1e-13 * np.abs(theirs).max()


@pytest.mark.parametrize("eps, form", [(1e-6, "erf"), (1e-2, "tanh")])
def test_equations_2_and_3(rng, eps, form):
    x, params = rng.standard_normal((2, T, D)), layer_params(rng)
    y, _ = layer.forward(x, params, H, eps, form)
    z = x + attention.forward(layer_norm.forward(x, params["norm1"], eps)[0], params["attn"], H)[0]
    z = z + mlp.forward(layer_norm.forward(z, params["norm2"], eps)[0], params["mlp"], form)[0]
    assert relative_error(y, z) <= 1e-14


def test_the_defaults_are_timms(rng):
    x, params = 1e-3 * rng.standard_normal((2, T, D)), layer_params(rng)
    assert np.array_equal(layer.forward(x, params, H)[0], layer.forward(x, params, H, 1e-6, "erf")[0])


def test_with_silent_branches_the_residual_stream_passes_unchanged(rng):
    x, params, dy = rng.standard_normal((2, T, D)), layer_params(rng), rng.standard_normal((2, T, D))
    for last in (params["attn"]["proj"], params["mlp"]["fc2"]):
        last["weight"][...] = 0
        last["bias"][...] = 0
    y, cache = layer.forward(x, params, H)
    dx, _ = layer.backward(dy, cache)
    assert np.array_equal(y, x) and np.array_equal(dx, dy)


def test_without_a_cache_the_numbers_are_the_same(rng, monkeypatch):
    x, params = rng.standard_normal((2, T, D)), layer_params(rng)
    y, _ = layer.forward(x, params, H)
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": 100})
    assert relative_error(layer.forward(x, params, H, with_cache=False)[0], y) <= 1e-14
