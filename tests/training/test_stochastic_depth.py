import numpy as np
import pytest
from peaked import relative_error
from section_contract import SectionContract
from test_layer import D, H, T, layer_params

from minivit import layer
from minivit.training import stochastic_depth
from minivit.training.stochastic_depth import Layer

B, RATE = 4, 0.3


class TestSomeImagesSkip(SectionContract):
    """The second and the last image take the layer, the others skip it."""
    taking = np.array([1, 3])
    section = Layer(taking, RATE)
    options = {"num_heads": H, "eps": 1e-3, "activation": "tanh"}

    def case(self, rng):
        return rng.standard_normal((B, T, D)), layer_params(rng)

    def forward(self, x, params):
        taking = self.taking if len(x) == B else np.zeros((self.taking == 1).sum(), int)  # the second image
        return Layer(taking, RATE).forward(x, params, **self.options)


class TestAllImagesSkip(TestSomeImagesSkip):
    taking = np.array([], int)
    section = Layer(taking, RATE)


class TestOneTokenAsks(TestSomeImagesSkip):
    options = {**TestSomeImagesSkip.options, "queries": slice(0, 1)}


class TestNobodySkips(TestSomeImagesSkip):
    taking = np.arange(B)
    section = Layer(taking, RATE)


def test_the_expectation_is_the_layer(rng):
    x, params = rng.standard_normal((B, T, D)), layer_params(rng)
    taken, _ = Layer(np.arange(B), RATE).forward(x, params, H)
    skipped, _ = Layer(np.array([], int), RATE).forward(x, params, H)
    np.testing.assert_array_equal(skipped, x)
    assert relative_error((1 - RATE) * taken + RATE * skipped, layer.forward(x, params, H)[0]) <= 1e-14


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
