import math

import numpy as np
import pytest
from section_contract import SectionContract

from minivit import swiglu


class TestSwiGLU(SectionContract):
    section = swiglu

    def case(self, rng):
        return 2 * rng.standard_normal((3, 5, 8)), None


def test_one_half_gates_the_other(rng):
    """Shazeer 2020, equation 6: Swish(a) b, with Swish(a) = a / (1 + exp(-a))."""
    x = 3 * rng.standard_normal((2, 3, 10))
    y, _ = swiglu.forward(x)
    for index in np.ndindex(2, 3, 5):
        a, b = x[index], x[(*index[:2], index[2] + 5)]
        assert y[index] == pytest.approx(a / (1 + math.exp(-a)) * b, rel=1e-13, abs=1e-14)


def test_large_numbers_do_not_overflow():
    y, _ = swiglu.forward(np.array([[-1e4, 1e4, 2.0, 3.0]]))
    assert np.array_equal(y, [[0.0, 3e4]])


def test_no_cache_where_none_is_wanted(rng):
    assert swiglu.forward(rng.standard_normal((2, 4)), with_cache=False)[1] is None
