"""Deletion curves, their errors and their figure: against painting by hand and known numbers."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from minivit.explain.answers import deletion
from minivit.explain.answers.occlusion import painted_over
from minivit.loss import log_softmax

matplotlib.use("Agg")


def test_deletion_starts_at_the_whole_image_and_paints_the_highest_first(small):
    model, x, classes = small
    maps = np.random.default_rng(5).random((2, 2, 3))
    curves = deletion.deletion_curves(model, x, classes, maps, (0, 1, 6))
    assert curves.shape == (2, 3)
    assert np.allclose(curves[:, 0], np.exp(log_softmax(model(x)))[[0, 1], classes], rtol=0, atol=1e-14)
    highest = maps.reshape(2, 6).argmax(axis=1)
    one = model(painted_over(x, highest[:, None], model.config))
    assert np.allclose(curves[:, 1], np.exp(log_softmax(one))[[0, 1], classes], rtol=0, atol=1e-14)
    blank = np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape)
    assert np.allclose(curves[:, 2], np.exp(log_softmax(model(blank)))[[0, 1], classes], rtol=0, atol=1e-12)


def test_mean_and_standard_error_of_known_numbers():
    mean, error = deletion.mean_and_error([1.0, 2.0, 3.0, 4.0])         # variance 5/3, over 4: 5/12
    assert mean == pytest.approx(2.5) and error == pytest.approx((5 / 12) ** 0.5)


def test_the_figure_shows_means_and_differences_from_the_mean_random_order():
    random = np.array([[[0.8, 0.6], [0.4, 0.2]], [[0.6, 0.4], [0.2, 0.0]]])             # (orders, B, counts)
    curves = {"a map": np.array([[0.5, 0.3], [0.2, 0.0]])}
    left, right = deletion.deletion_figure((1, 2), curves, random, 6).axes
    assert [line.get_label() for line in left.lines][-1] == "a map"
    assert np.allclose(left.lines[0].get_ydata(), [0.6, 0.4]) and np.allclose(left.lines[-1].get_ydata(), [0.35, 0.15])
    (dot, *_), = right.containers
    assert dot.get_xdata() == pytest.approx([-0.15])                    # of -0.2 and -0.1
    assert "6" in left.get_xlabel()
    plt.close("all")
