import numpy as np
import pytest
from peaked import relative_error
from section_contract import SectionContract
from test_layer import D, H, T, layer_params

from minivit import layer
from minivit.training import stochastic_depth

B, RATE = 4, 0.3


class TestSomeImagesSkip(SectionContract):
    """The second and the last image take the layer, the others skip it."""
    section = stochastic_depth
    taking = np.array([1, 3])
    options = {"taking": taking, "rate": RATE, "num_heads": H, "eps": 1e-3, "gelu": "tanh"}

    def case(self, rng):
        return rng.standard_normal((B, T, D)), layer_params(rng)

    def forward(self, x, params):
        taking = self.taking if len(x) == B else np.zeros((self.taking == 1).sum(), int)  # the second image
        return stochastic_depth.forward(x, params, **{**self.options, "taking": taking})


class TestAllImagesSkip(TestSomeImagesSkip):
    taking = np.array([], int)
    options = {**TestSomeImagesSkip.options, "taking": taking}


class TestOneTokenAsks(TestSomeImagesSkip):
    options = {**TestSomeImagesSkip.options, "asking": slice(0, 1)}


class TestNobodySkips(TestSomeImagesSkip):
    taking = np.arange(B)
    options = {**TestSomeImagesSkip.options, "taking": taking}


def test_the_expectation_is_the_layer(rng):
    x, params = rng.standard_normal((B, T, D)), layer_params(rng)
    taken, _ = stochastic_depth.forward(x, params, np.arange(B), RATE, H)
    skipped, _ = stochastic_depth.forward(x, params, np.array([], int), RATE, H)
    np.testing.assert_array_equal(skipped, x)
    assert relative_error((1 - RATE) * taken + RATE * skipped, layer.forward(x, params, H)[0]) <= 1e-14


def test_without_a_rate_it_is_the_layer_to_the_bit(rng):
    x, params, dy = rng.standard_normal((B, T, D)), layer_params(rng), rng.standard_normal((B, T, D))
    y, cache = stochastic_depth.forward(x, params, None, 0, H, 1e-2, "tanh")
    expected, layer_cache = layer.forward(x, params, H, 1e-2, "tanh")
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(stochastic_depth.backward(dy, cache)[0], layer.backward(dy, layer_cache)[0])


@pytest.mark.parametrize("layers, expected", [(1, [0]), (2, [0, 0.4]), (5, [0, 0.1, 0.2, 0.3, 0.4])])
def test_rates_rise_evenly_from_zero(layers, expected):
    assert stochastic_depth.rates(layers, 0.4) == pytest.approx(expected)


def test_images_skip_at_these_rates(rng):
    images = 20000
    taking = stochastic_depth.draw(rng, images, 5, 0.4)
    assert taking.shape == (5, images) and taking[0].all()
    assert np.abs(taking.mean(axis=1) - [1, 0.9, 0.8, 0.7, 0.6]).max() <= 4.5 * (0.25 / images) ** 0.5
    assert abs(np.corrcoef(taking[3], taking[4])[0, 1]) <= 4.5 / images ** 0.5           # each layer for itself
    assert stochastic_depth.draw(rng, images, 5, 0).all()
