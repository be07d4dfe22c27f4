"""What stands in a port's softmax: padding zeros are counted, whatever the scores, and the figure shows just that."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minivit.explain.attention.row_sums import denominators, extra_zeros, row_sums_figure


def padded(scores, zeros):
    """Softmax of rows with so many scores of zero behind them, which are then cut off."""
    e = np.exp(np.concatenate([scores, np.zeros((*scores.shape[:-1], zeros))], axis=-1))
    return (e / e.sum(axis=-1, keepdims=True))[..., :scores.shape[-1]]


@pytest.mark.parametrize("zeros", [0, 1, 7])
def test_zeros_that_were_counted_along(rng, zeros):
    scores = 3 * rng.standard_normal((2, 9, 9)) + 1
    np.testing.assert_allclose(extra_zeros(scores, padded(scores, zeros)), zeros, atol=1e-9)


def test_denominators(rng):
    scores = rng.standard_normal((4, 5))
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    right, found = denominators(scores, shifted / 17)
    np.testing.assert_allclose(right, shifted.sum(axis=-1), rtol=1e-14)
    np.testing.assert_allclose(found, 17, rtol=1e-14)


def test_the_figure_shows_sums_and_zeros(rng):
    scores = rng.standard_normal((2, 12, 12))
    weights = padded(scores, 3)
    figure = row_sums_figure(scores, weights, head=1)
    quotients, sums, zeros = figure.axes
    for line, row in zip(quotients.lines, range(0, 12, 3)):
        np.testing.assert_allclose(line.get_ydata(), weights[1, row].sum(), rtol=1e-12)
    np.testing.assert_allclose(sums.lines[0].get_ydata(), weights[1].sum(axis=-1), rtol=1e-14)
    np.testing.assert_allclose(sums.lines[1].get_ydata(), 1, rtol=1e-14)
    np.testing.assert_allclose(zeros.lines[0].get_ydata(), 3, atol=1e-9)
    plt.close(figure)
