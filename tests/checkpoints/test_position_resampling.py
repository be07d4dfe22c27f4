"""Properties of the five ways of resampling; equality with the libraries is in parity/test_checkpoint_parity.py."""

import numpy as np
import pytest

from minivit.checkpoints.position_resampling import WAYS, keys, resample, weights


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("old, new", [(3, 7), (7, 3), (4, 4), (14, 24), (5, 1), (1, 5)])
def test_weights_sum_to_one_and_mirror(way, old, new):
    matrix = weights(old, new, way)
    assert matrix.shape == (new, old)
    assert np.allclose(matrix.sum(axis=1), 1, atol=1e-12)
    if way == "dino":           # its places end before the border: they are another grid's first points
        return
    if new > 1:                 # torchvision and Google take the first corner for a single point
        assert np.allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_grid_and_the_rows_before_it_stay_as_they_are(way, rng):
    two = rng.standard_normal((1, 14, 5))                   # [CLS] and the distillation token
    assert np.array_equal(resample(two, (3, 4), (6, 2), way)[:, :2], two[:, :2])
    table = two[:, 1:]
    assert resample(table, (3, 4), (3, 4), way) is table
    assert np.array_equal(resample(table, (3, 4), (6, 2), way)[:, 0], table[:, 0])
    assert resample(table[:, 1:], (3, 4), (6, 2), way).shape == (1, 12, 5)


def test_bilinear_by_hand():
    """0, 1 becomes 0, 1/2, 1 where corner points coincide; a plane stays a plane."""
    assert np.allclose(weights(2, 3, "google"), [[1, 0], [0.5, 0.5], [0, 1]])
    rows, columns = np.mgrid[0:3, 0:3] / 2.0
    table = (1 + 2 * rows + 3 * columns).reshape(1, 9, 1)
    rows, columns = np.mgrid[0:5, 0:4] / np.array([4, 3.0])[:, None, None]
    assert np.allclose(resample(table, (3, 3), (5, 4), "google").ravel(), (1 + 2 * rows + 3 * columns).ravel())


def test_the_places_of_dinos_points():
    """Point k of a grid of n is at (k + 1/2) · old / (n + 0.1) - 1/2."""
    assert np.allclose(weights(5, 10, "dino")[0], weights_at(0.5 * 5 / 10.1 - 0.5, 5))
    assert np.allclose(weights(5, 10, "dino")[9], weights_at(9.5 * 5 / 10.1 - 0.5, 5))


def weights_at(place, old):
    """Keys's weights of the four points about a place; those beyond the border are the border's."""
    expected = np.zeros(old)
    for point in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
        expected[np.clip(point, 0, old - 1)] += keys(np.array(place - point), -0.75)
    return expected


def test_bicubic_by_hand():
    """Keys's kernel halfway between points, for a = -0.75: -3/32, 19/32, 19/32, -3/32."""
    assert np.allclose(keys(np.array([0.0, 1, 2, 3]), -0.75), [1, 0, 0, 0])
    assert np.allclose(weights(5, 9, "torchvision")[3], [-3 / 32, 19 / 32, 19 / 32, -3 / 32, 0])


def test_the_five_ways_differ(rng):
    table = rng.standard_normal((1, 26, 3))
    results = [resample(table, (5, 5), (7, 4), way) for way in WAYS]
    assert all(np.abs(a - b).max() > 1e-3 for i, a in enumerate(results) for b in results[:i])


@pytest.mark.parametrize("grid, way, message", [((3, 3), "nearest", "resample is one of"), ((4, 3), "timm", "4 x 3")])
def test_errors(grid, way, message):
    with pytest.raises(ValueError, match=message):
        resample(np.zeros((1, 10, 4)), grid, (5, 5), way)
