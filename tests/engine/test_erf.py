import math

import numpy as np
import pytest

from minivit.engine.erf import erf

GRID = np.concatenate([np.linspace(-7, 7, 40_001), np.geomspace(1e-300, 1, 2001), -np.geomspace(1e-9, 30, 2001),
                       [0.5, np.nextafter(0.5, 0), np.nextafter(0.5, 1), 4.0, np.nextafter(4, 5), 6.0]])


@pytest.mark.parametrize("dtype, largest", [("float64", 3e-16), ("float32", 1.4e-7)])
def test_against_the_standard_library(dtype, largest):
    x = GRID.astype(dtype)
    y = erf(x)
    expected = np.array([math.erf(v) for v in x.tolist()])
    assert y.dtype == dtype
    assert np.abs(y - expected).max() <= largest


def test_tiny_float64_arguments_keep_their_digits():
    x = np.geomspace(1e-300, 0.4, 997)
    expected = np.array([math.erf(v) for v in x.tolist()])
    assert np.abs(erf(x) / expected - 1).max() <= 5e-16


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_odd_bounded_and_right_at_the_ends(dtype):
    x = GRID.astype(dtype)
    assert np.array_equal(erf(-x), -erf(x)) and np.abs(erf(x)).max() <= 1
    ends = erf(np.array([0.0, np.inf, -np.inf, np.nan], dtype))
    assert ends[:3].tolist() == [0, 1, -1] and np.isnan(ends[3])
