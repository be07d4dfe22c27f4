"""The figures of chapter 17: who is framed as of the same class, where pictures lie, and the plane of PCA."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.offsetbox import AnnotationBbox

from minivit.explain.answers.neighbours_figure import neighbours_figure, picture_map, principal_plane
from minivit.explain.style import COLOURS


def test_neighbours_are_framed_by_class(rng):
    pictures, labels = rng.random((6, 8, 8, 3)), np.array(list("aabbab"))
    figure = neighbours_figure(pictures, [0, 2], np.array([[1, 3], [0, 5]]), labels)
    axes = np.array(figure.axes).reshape(2, 3)
    for row, shown in zip(axes, [[0, 1, 3], [2, 0, 5]]):
        for ax, i in zip(row, shown):
            np.testing.assert_array_equal(ax.images[0].get_array(), pictures[i])
        assert row[0].get_ylabel() == labels[shown[0]]
        for ax, j in zip(row[1:], shown[1:]):
            expected = COLOURS[2] if labels[j] == labels[shown[0]] else COLOURS[1]
            assert ax.spines["left"].get_edgecolor() == to_rgba(expected)
    plt.close(figure)


def test_pictures_lie_at_their_places(rng):
    pictures, places = rng.random((5, 8, 8, 3)), rng.standard_normal((5, 2))
    figure = picture_map(pictures, places, np.arange(5))
    boxes = [artist for artist in figure.axes[0].artists if isinstance(artist, AnnotationBbox)]
    for box, picture, place in zip(boxes, pictures, places, strict=True):
        np.testing.assert_array_equal(box.offsetbox.get_data(), picture)
        assert tuple(box.xy) == tuple(place)
    low, high = figure.axes[0].get_xlim()
    assert low < places[:, 0].min() and places[:, 0].max() < high
    plt.close(figure)


def test_the_plane_is_that_of_pca(rng):
    y = rng.standard_normal((40, 7)) * [5, 3, 1, 1, 1, 1, 1]
    from sklearn.decomposition import PCA  # here, as importing it takes seconds
    ours, theirs = principal_plane(y), PCA(2).fit_transform(y)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-10)
