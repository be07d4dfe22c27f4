import math

import numpy as np
import pytest
from peaked import peakedness, relative_error
from section_contract import SectionContract, attention_params

from minivit import attention, softmax
from minivit.engine import tiles

H, D, T = 3, 12, 9


class TestAttention(SectionContract):
    section = attention
    options = {"num_heads": H}

    def case(self, rng):
        return rng.standard_normal((3, T, D)), attention_params(rng, D)


class TestOneHead(TestAttention):
    options = {"num_heads": 1}


class TestSomeTokensAsk(TestAttention):
    options = {"num_heads": H, "queries": slice(1, 4)}


def by_loops(x, params, num_heads):
    """Equations 5 to 8, one head and one query at a time, with Python's exp."""
    B, T, D = x.shape
    d = D // num_heads
    weights = np.split(params["qkv"]["weight"], 3, axis=1)
    biases = np.split(params["qkv"]["bias"], 3)
    q, k, v = (x @ w + b for w, b in zip(weights, biases))
    merged = np.zeros_like(x)
    for b in range(B):
        for h in range(num_heads):
            head = slice(h * d, (h + 1) * d)
            for i in range(T):
                e = [math.exp(float(q[b, i, head] @ k[b, j, head]) / math.sqrt(d)) for j in range(T)]
                merged[b, i, head] = sum(e[j] / sum(e) * v[b, j, head] for j in range(T))
    return merged @ params["proj"]["weight"] + params["proj"]["bias"]


def test_equals_the_paper_one_head_and_one_query_at_a_time(rng):
    x, params = rng.standard_normal((2, T, D)), attention_params(rng, D)
    y, _ = attention.forward(x, params, H)
    assert relative_error(y, by_loops(x, params, H)) <= 1e-13


def test_the_case_is_peaked(rng):
    x, params = TestAttention().case(rng)
    _, (query, key, *_) = attention.forward(x, params, H)
    maps = attention.weights(query, key)
    assert maps.shape == (3, H, T, T) and 0.2 < peakedness(maps)
    assert np.abs(maps.sum(axis=-1) - 1).max() <= 1e-14


def test_heads_are_slices_of_the_features(rng):
    qkv = rng.standard_normal((2, T, 3 * D))
    parts = attention.split_heads(qkv, H)
    d = D // H
    for part, b, h, t in np.ndindex(3, 2, H, T):
        start = part * D + h * d
        assert np.array_equal(parts[part, b, h, t], qkv[b, t, start:start + d])


def test_merging_undoes_splitting(rng):
    x = rng.standard_normal((2, T, D))
    merged = np.empty_like(x)
    attention.merge_view(merged, H)[...] = attention.split_heads(np.concatenate([x, x, x], axis=-1), H)[0]
    assert np.array_equal(merged, x)


def test_scores_are_scaled_by_the_root_of_the_head_width(rng):
    q, k = rng.standard_normal((1, 1, 2, 4)), rng.standard_normal((1, 1, 3, 4))
    for i, j in np.ndindex(2, 3):
        expected = sum(q[0, 0, i, c] * k[0, 0, j, c] for c in range(4)) / 2
        assert attention.scores(q, k)[0, 0, i, j] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("scores_per_tile", [1, 100, 2 * H * T * 4, 10 ** 9])
def test_tiles_of_heads_and_queries_give_the_same(rng, monkeypatch, scores_per_tile):
    x, params = rng.standard_normal((2, T, D)), attention_params(rng, D)
    whole, _ = attention.forward(x, params, H)
    dy = rng.standard_normal(whole.shape)
    sizes = []
    real = softmax.forward
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": 10 ** 9})
    dx, grads = attention.backward(dy, attention.forward(x, params, H)[1])
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": scores_per_tile})
    monkeypatch.setattr(softmax, "forward", lambda s, out: sizes.append(s.size) or real(s, out))
    y, cache = attention.forward(x, params, H)
    assert relative_error(y, whole) <= 1e-14 and attention.forward(x, params, H, with_cache=False)[1] is None
    assert sum(sizes) == 2 * 2 * H * T * T and max(sizes) <= max(scores_per_tile, 2 * T)     # 2 T: a query of a head
    assert (len(sizes) == 2) == (scores_per_tile >= 2 * H * T * T)
    sizes.clear()
    dx_in_tiles, grads_in_tiles = attention.backward(dy, cache)
    assert sum(sizes) == 2 * H * T * T and max(sizes) <= max(scores_per_tile, 2 * T * T)     # whole heads
    assert relative_error(dx_in_tiles, dx) <= 1e-13
    assert relative_error(grads_in_tiles["qkv"]["weight"], grads["qkv"]["weight"]) <= 1e-13


def test_tokens_are_a_set(rng):
    """Attention knows no order: permuted tokens give permuted results."""
    x, params, order = rng.standard_normal((2, T, D)), attention_params(rng, D), rng.permutation(T)
    y, _ = attention.forward(x, params, H)
    permuted, _ = attention.forward(x[:, order], params, H)
    assert relative_error(permuted, y[:, order]) <= 1e-13


def test_the_key_bias_has_no_gradient(rng):
    """A bias of the keys adds the same number to all scores of a query, which softmax ignores."""
    x, params = rng.standard_normal((2, T, D)), attention_params(rng, D)
    _, cache = attention.forward(x, params, H)
    _, grads = attention.backward(rng.standard_normal((2, T, D)), cache)
    query, key, value = np.split(grads["qkv"]["bias"], 3)
    assert np.abs(key).max() <= 1e-12 * np.abs(value).max()
    assert np.abs(query).max() > 1e-3 * np.abs(value).max()
