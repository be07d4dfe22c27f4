import math

import numpy as np
import pytest
from section_contract import SectionContract

from minivit import position_embedding
from minivit.position_embedding import sincos_2d


class TestLearned(SectionContract):
    section = position_embedding
    options = {"kind": "learned"}

    def case(self, rng):
        return rng.standard_normal((3, 7, 8)), {"pos_embed": rng.standard_normal((1, 7, 8))}


class TestSincos(SectionContract):
    section = position_embedding
    options = {"kind": "sincos2d", "grid": (2, 3)}

    def case(self, rng):
        return rng.standard_normal((3, 7, 8)), {}


class TestNone(TestSincos):
    options = {"kind": "none"}


def test_learned_positions_are_added_to_every_image(rng):
    x, positions = rng.standard_normal((3, 7, 8)), rng.standard_normal((1, 7, 8))
    y, cache = position_embedding.forward(x, {"pos_embed": positions})
    for b, t in np.ndindex(3, 7):
        assert np.array_equal(y[b, t], x[b, t] + positions[0, t])
    dy = rng.standard_normal(x.shape)
    _, grads = position_embedding.backward(dy, cache)
    assert grads["pos_embed"][0] == pytest.approx(dy[0] + dy[1] + dy[2], rel=1e-14)


@pytest.mark.parametrize("rows, columns, D", [(2, 3, 8), (4, 4, 16), (1, 5, 12)])
def test_the_sincos_table_is_that_of_the_masked_autoencoder(rows, columns, D):
    """He et al. 2021: half the features encode the column, half the row; each half has its sines, then its cosines."""
    table = sincos_2d((rows, columns), D)
    quarter = D // 4
    for row in range(rows):
        for column in range(columns):
            expected = []
            for place in (column, row):
                angles = [place / 10000 ** (k / quarter) for k in range(quarter)]
                expected += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            assert table[0, row * columns + column] == pytest.approx(expected, abs=1e-14)


def test_sincos_leaves_the_cls_token_alone(rng):
    x = rng.standard_normal((2, 7, 8))
    y, _ = position_embedding.forward(x, {}, "sincos2d", (2, 3))
    assert np.array_equal(y[:, 0], x[:, 0])
    assert y[:, 1:] - x[:, 1:] == pytest.approx(np.concatenate([sincos_2d((2, 3), 8)] * 2), abs=1e-14)


def test_sincos_without_a_cls_token_starts_at_the_first_patch(rng):
    x = rng.standard_normal((2, 6, 8))
    y, _ = position_embedding.forward(x, {}, "sincos2d", (2, 3))
    assert y - x == pytest.approx(np.concatenate([sincos_2d((2, 3), 8)] * 2), abs=1e-14)


def test_no_positions_change_nothing(rng):
    x = rng.standard_normal((2, 7, 8))
    assert np.array_equal(position_embedding.forward(x, {}, "none")[0], x)


def test_sincos_needs_a_width_that_4_divides():
    with pytest.raises(ValueError, match="4 divides, found 10"):
        sincos_2d((2, 3), 10)
