import math
import statistics

import numpy as np
import pytest
from peaked import relative_error
from section_contract import SectionContract, norm_params

from minivit import layer_norm
from minivit.engine import tiles

PLAIN = {"weight": np.ones(6), "bias": np.zeros(6)}


class TestLayerNorm(SectionContract):
    section = layer_norm

    def case(self, rng):
        return 2 * rng.standard_normal((3, 5, 6)) + 1, norm_params(rng, 6)


def test_every_token_gets_mean_0_and_variance_1(rng):
    y, _ = layer_norm.forward(100 + 30 * rng.standard_normal((3, 5, 6)), PLAIN)
    for token in y.reshape(-1, 6).tolist():
        assert statistics.fmean(token) == pytest.approx(0, abs=1e-12)
        assert statistics.pvariance(token) == pytest.approx(1, abs=1e-6)


def test_one_token_by_the_definition(rng):
    x, params = rng.standard_normal(6), norm_params(rng, 6)
    y, _ = layer_norm.forward(x[None], params, eps=1e-3)
    mean, variance = statistics.fmean(x.tolist()), statistics.pvariance(x.tolist())
    for i in range(6):
        xhat = (x[i] - mean) / math.sqrt(variance + 1e-3)
        assert y[0, i] == pytest.approx(xhat * params["weight"][i] + params["bias"][i], rel=1e-13)


def test_eps_is_1e_6_and_stands_under_the_root():
    x = 1e-3 * np.array([[1.0, -1, 1, -1, 1, -1]])                      # variance 1e-6, as large as eps
    y, _ = layer_norm.forward(x, PLAIN)
    assert y == pytest.approx(math.sqrt(0.5) * np.sign(x), rel=1e-12)


def test_constant_token_becomes_the_bias(rng):
    params = norm_params(rng, 6)
    y, cache = layer_norm.forward(np.full((2, 6), 3.0), params)
    dx, _ = layer_norm.backward(rng.standard_normal((2, 6)), cache)
    assert np.array_equal(y, np.stack([params["bias"]] * 2)) and np.isfinite(dx).all()


def test_shift_and_scale_of_a_token_change_nothing(rng):
    x = rng.standard_normal((4, 6))
    y, _ = layer_norm.forward(x, PLAIN, eps=1e-12)
    moved, _ = layer_norm.forward(7 * x + 5, PLAIN, eps=1e-12)
    assert relative_error(moved, y) <= 1e-11


def test_input_gradient_has_no_part_along_shift_and_scale(rng):
    x, dy = rng.standard_normal((4, 6)), rng.standard_normal((4, 6))
    y, cache = layer_norm.forward(x, PLAIN, eps=1e-12)
    dx, _ = layer_norm.backward(dy, cache)
    assert np.abs(dx.sum(axis=-1)).max() <= 1e-13
    assert np.abs((dx * y).sum(axis=-1)).max() <= 1e-10
    assert np.linalg.norm(dx) > 0.1


def test_blocks_of_rows_change_nothing(rng, monkeypatch):
    x, params, dy = rng.standard_normal((3, 5, 6)), norm_params(rng, 6), rng.standard_normal((3, 5, 6))
    whole, cache = layer_norm.forward(x, params)
    dx_whole, grads_whole = layer_norm.backward(dy, cache)
    monkeypatch.setattr(tiles, "TILE_BYTES", 4 * 6 * 8)               # four tokens a block, the last one short
    y, cache = layer_norm.forward(x, params)
    dx, grads = layer_norm.backward(dy, cache)
    assert np.array_equal(y, whole) and np.array_equal(dx, dx_whole)
    for name in params:
        assert relative_error(grads[name], grads_whole[name]) <= 1e-14
