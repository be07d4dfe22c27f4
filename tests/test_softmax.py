import math

import numpy as np
import pytest
from section_contract import SectionContract

from minivit import softmax
from minivit.engine import tiles


class TestSoftmax(SectionContract):
    section = softmax

    def case(self, rng):
        return 3 * rng.standard_normal((2, 3, 4, 5)), None


def test_one_row_by_the_definition():
    y, _ = softmax.forward(np.array([[0.5, -1.0, 2.0]]))
    total = math.exp(0.5) + math.exp(-1) + math.exp(2)
    assert y[0] == pytest.approx([math.exp(0.5) / total, math.exp(-1) / total, math.exp(2) / total], rel=1e-14)


def test_rows_sum_to_one_and_are_positive(rng):
    y, _ = softmax.forward(5 * rng.standard_normal((2, 3, 7, 11)))
    assert np.abs(y.sum(axis=-1) - 1).max() <= 1e-14 and (y > 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_scores_stay_finite(dtype):
    scores = np.array([[1e4, 0, -1e4], [3e38, 3e38, -3e38], [-1e30, -1e30, -1e30]], dtype)
    with np.errstate(over="ignore"):                                    # -3e38 - 3e38 is -inf, whose exp is 0
        y, cache = softmax.forward(scores)
    assert y == pytest.approx(np.array([[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]]), rel=1e-6)
    assert np.isfinite(softmax.backward(np.ones_like(scores), cache)).all()


def test_each_row_has_its_own_maximum():
    """With the maximum of a column, or of everything, the smaller row would underflow to 0/0."""
    y, _ = softmax.forward(np.array([[1000.0, 1001.0], [-1000.0, -1001.0]]))
    near, far = 1 / (1 + math.e), math.e / (1 + math.e)
    assert y == pytest.approx(np.array([[near, far], [far, near]]), rel=1e-12)


def test_a_constant_added_to_a_row_changes_nothing(rng):
    scores = rng.standard_normal((4, 6))
    y, _ = softmax.forward(scores)
    shifted, _ = softmax.forward(scores + np.array([[8.0], [-16], [0], [32]]))
    assert shifted == pytest.approx(y, rel=1e-13)


def test_backward_is_the_full_jacobian(rng):
    scores, dy = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
    a, cache = softmax.forward(scores)
    ds = softmax.backward(dy, cache)
    for row in range(3):
        for i in range(5):
            expected = sum(a[row, j] * ((i == j) - a[row, i]) * dy[row, j] for j in range(5))
            assert ds[row, i] == pytest.approx(expected, rel=1e-11, abs=1e-15)


def test_out_may_be_the_scores_themselves(rng):
    scores = rng.standard_normal((3, 5))
    expected, _ = softmax.forward(scores)
    y, _ = softmax.forward(scores, out=scores)
    assert y is scores and np.array_equal(y, expected)


def test_blocks_of_rows_change_nothing(rng, monkeypatch):
    scores, dy = rng.standard_normal((2, 7, 5)), rng.standard_normal((2, 7, 5))
    whole, cache = softmax.forward(scores)
    ds_whole = softmax.backward(dy, cache)
    monkeypatch.setattr(tiles, "TILE_BYTES", 3 * 5 * 8)
    y, cache = softmax.forward(scores)
    assert np.array_equal(y, whole) and np.array_equal(softmax.backward(dy, cache), ds_whole)
