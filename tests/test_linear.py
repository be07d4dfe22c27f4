import numpy as np
import pytest
from section_contract import SectionContract, linear_params

from minivit import linear


class TestLinear(SectionContract):
    section = linear

    def case(self, rng):
        return rng.standard_normal((3, 7, 5)), linear_params(rng, 5, 4)


def test_every_output_is_a_weighted_sum_and_a_bias(rng):
    x, params = rng.standard_normal((2, 3, 4)), linear_params(rng, 4, 6)
    y, _ = linear.forward(x, params)
    for b, t, j in np.ndindex(y.shape):
        expected = sum(x[b, t, i] * params["weight"][i, j] for i in range(4)) + params["bias"][j]
        assert y[b, t, j] == pytest.approx(expected, rel=1e-13)


def test_axes_before_the_last_are_kept(rng):
    params = linear_params(rng, 4, 6)
    for shape in ((4,), (3, 4), (2, 3, 4), (2, 1, 3, 4)):
        x = rng.standard_normal(shape)
        y, cache = linear.forward(x, params)
        dx, _ = linear.backward(y, cache)
        assert y.shape == (*shape[:-1], 6) and dx.shape == shape


def test_bias_gradient_is_the_sum_over_all_rows(rng):
    x, params, dy = rng.standard_normal((2, 3, 4)), linear_params(rng, 4, 6), rng.standard_normal((2, 3, 6))
    _, cache = linear.forward(x, params)
    _, grads = linear.backward(dy, cache)
    expected = [sum(dy[b, t, j] for b in range(2) for t in range(3)) for j in range(6)]
    assert grads["bias"] == pytest.approx(expected, rel=1e-13)
