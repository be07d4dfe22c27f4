import numpy as np
import pytest
from section_contract import SectionContract

from minivit import cls_token


class TestClsToken(SectionContract):
    section = cls_token

    def case(self, rng):
        return rng.standard_normal((3, 4, 5)), {"cls_token": rng.standard_normal((1, 1, 5))}


class TestWithoutClsToken(SectionContract):
    section = cls_token

    def case(self, rng):
        return rng.standard_normal((3, 4, 5)), {}


def test_the_same_token_stands_before_the_patches_of_every_image(rng):
    x, token = rng.standard_normal((3, 4, 5)), rng.standard_normal((1, 1, 5))
    y, _ = cls_token.forward(x, {"cls_token": token})
    assert y.shape == (3, 5, 5)
    for b in range(3):
        assert np.array_equal(y[b, 0], token[0, 0]) and np.array_equal(y[b, 1:], x[b])


def test_its_gradient_is_the_sum_over_the_batch(rng):
    _, cache = cls_token.forward(rng.standard_normal((3, 4, 5)), {"cls_token": rng.standard_normal((1, 1, 5))})
    dy = rng.standard_normal((3, 5, 5))
    dx, grads = cls_token.backward(dy, cache)
    assert np.array_equal(dx, dy[:, 1:])
    assert grads["cls_token"][0, 0] == pytest.approx(dy[0, 0] + dy[1, 0] + dy[2, 0], rel=1e-14)


def test_a_model_without_the_token_keeps_its_patches(rng):
    x, dy = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 4, 5))
    y, cache = cls_token.forward(x, {})
    dx, grads = cls_token.backward(dy, cache)
    assert np.array_equal(y, x) and np.array_equal(dx, dy) and grads == {}
