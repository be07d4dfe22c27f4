import math

import numpy as np
import pytest
from peaked import relative_error
from section_contract import SectionContract, mlp_params

from minivit import mlp


class TestMlp(SectionContract):
    section = mlp
    options = {"activation": "erf"}

    def case(self, rng):
        return rng.standard_normal((3, 5, 4)), mlp_params(rng, 4, 11)


class TestTanhForm(TestMlp):
    options = {"activation": "tanh"}


def erf_form(v):
    return v * (1 + math.erf(v / math.sqrt(2))) / 2


def tanh_form(v):
    return v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3))) / 2


@pytest.mark.parametrize("form, gelu", [("erf", erf_form), ("tanh", tanh_form)])
def test_one_token_by_the_definition(form, gelu, rng):
    x, params = rng.standard_normal((1, 1, 4)), mlp_params(rng, 4, 11)
    y, _ = mlp.forward(x, params, form)
    z = x[0, 0] @ params["fc1"]["weight"] + params["fc1"]["bias"]
    hidden = np.array([gelu(v) for v in z.tolist()])
    assert y[0, 0] == pytest.approx(hidden @ params["fc2"]["weight"] + params["fc2"]["bias"], rel=1e-12)


def test_each_token_thinks_alone(rng):
    x, params = rng.standard_normal((2, 5, 4)), mlp_params(rng, 4, 11)
    y, _ = mlp.forward(x, params)
    for b, t in np.ndindex(2, 5):
        alone, _ = mlp.forward(x[b:b + 1, t:t + 1], params)
        assert relative_error(alone[0, 0], y[b, t]) <= 1e-13


@pytest.mark.parametrize("form", ["erf", "tanh"])
def test_without_a_cache_the_numbers_are_the_same(form, rng):
    x, params = rng.standard_normal((2, 5, 4)), mlp_params(rng, 4, 11)
    assert np.array_equal(mlp.forward(x, params, form, with_cache=False)[0], mlp.forward(x, params, form)[0])
