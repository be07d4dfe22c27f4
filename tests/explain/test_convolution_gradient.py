"""The gradient that shows a receptive field, against finite differences through convolutions and ReLU."""

import numpy as np

from minivit.explain.patches import convolution
from minivit.explain.patches.receptive_field import convolution_gradient, random_convolutions


def test_the_gradient_goes_through_relu(rng):
    x, stack, place = rng.standard_normal((1, 6, 7, 3)), random_convolutions(3, channels=4), (3, 2)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], 4)              # what the module draws

    def output(x):
        for params in stack:
            x = np.maximum(convolution.forward(x, params, padding=1)[0], 0)
        return (x[0][place] * signs).sum()

    assert (convolution.forward(x, stack[0], padding=1)[0] < 0).mean() > 0.2
    h, slopes = 1e-6, np.zeros(x.shape[1:])
    for index in np.ndindex(slopes.shape):
        step = np.zeros_like(x)
        step[0][index] = h
        slopes[index] = (output(x + step) - output(x - step)) / (2 * h)
    np.testing.assert_allclose(convolution_gradient(x, stack, place), np.linalg.norm(slopes, axis=-1), atol=1e-7)
