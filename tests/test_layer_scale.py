import numpy as np
from section_contract import SectionContract

from minivit import layer_scale


class TestLayerScale(SectionContract):
    section = layer_scale

    def case(self, rng):
        return rng.standard_normal((3, 5, 6)), {"gamma": rng.standard_normal(6)}


def test_each_feature_has_its_own_scale(rng):
    x, gamma = rng.standard_normal((2, 3, 4)), rng.standard_normal(4)
    y, _ = layer_scale.forward(x, {"gamma": gamma})
    for index in np.ndindex(*x.shape):
        assert y[index] == x[index] * gamma[index[-1]]


def test_without_parameters_nothing_changes(rng):
    x = rng.standard_normal((2, 3, 4))
    y, cache = layer_scale.forward(x, None)
    assert y is x
    dx, grads = layer_scale.backward(y, cache)
    assert dx is y and grads == {}
