import math

import numpy as np
import pytest
from section_contract import SectionContract

from minivit import gelu
from minivit.engine import tiles

# torch.nn.functional.gelu(torch.tensor(x, dtype=torch.float64), approximate=...) of PyTorch 2.13
PYTORCH = {"erf": {-3.0: -0.00404969409489031, -0.7: -0.1693745565561511, 0.3: 0.1853734266566858,
                   1.0: 0.841344746068543, 2.5: 2.4844758366855597},
           "tanh": {-3.0: -0.0036373920817729943, -0.7: -0.16942986529488321, 0.3: 0.18537092354275922,
                    1.0: 0.8411919906082768, 2.5: 2.484915733910001}}
X = np.linspace(-6, 6, 1201)


class TestErfForm(SectionContract):
    section = gelu
    options = {"form": "erf"}

    def case(self, rng):
        return 2 * rng.standard_normal((3, 7, 5)), None


class TestTanhForm(TestErfForm):
    options = {"form": "tanh"}


def by_erf(x):
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def by_tanh(x):
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


@pytest.mark.parametrize("form, definition", [("erf", by_erf), ("tanh", by_tanh)])
def test_by_the_definition(form, definition):
    y, _ = gelu.forward(X, form)
    assert y == pytest.approx(np.array([definition(x) for x in X.tolist()]), abs=2e-15)


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_against_pytorch(form):
    x = np.array(list(PYTORCH[form]))
    y, _ = gelu.forward(x, form)
    assert y == pytest.approx(np.array(list(PYTORCH[form].values())), abs=1e-15)


def test_the_two_forms_differ_by_up_to_5e_4():
    difference = np.abs(gelu.forward(X, "erf")[0] - gelu.forward(X, "tanh")[0]).max()
    assert 4e-4 < difference < 5e-4


def test_erf_is_the_default():
    assert np.array_equal(gelu.forward(X)[0], gelu.forward(X, "erf")[0])


@pytest.mark.parametrize("form", ["erf", "tanh"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_from_zero_it_is_x_or_nothing(form, dtype):
    x = np.array([40, 1e6, -40, -1e6, 0], dtype)
    y, slope = gelu.forward(x, form)
    assert y.tolist() == [40, 1e6, 0, 0, 0]
    assert slope.tolist() == [1, 1, 0, 0, 0.5]


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_without_a_cache_the_numbers_are_the_same(form, rng):
    x = rng.standard_normal((3, 5))
    y, cache = gelu.forward(x, form, with_cache=False)
    assert cache is None and np.array_equal(y, gelu.forward(x, form)[0])


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_blocks_of_rows_change_nothing(form, rng, monkeypatch):
    x = rng.standard_normal((2, 7, 5))
    whole, slope_whole = gelu.forward(x, form)
    monkeypatch.setattr(tiles, "TILE_BYTES", 3 * 5 * 8)
    y, slope = gelu.forward(x, form)
    assert np.array_equal(y, whole) and np.array_equal(slope, slope_whole)
