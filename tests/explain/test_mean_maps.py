"""The maps of all layers over the image: means over heads, the brightest patch framed and named."""

import matplotlib.pyplot as plt
import numpy as np

from minivit.explain.attention.mean_maps import mean_maps, mean_maps_figure


def test_the_mean_is_over_the_heads_and_the_brightest_patch_is_framed(rng):
    attention = rng.random((3, 2, 7, 7))
    maps = mean_maps(list(attention), (2, 3), query=4)
    for layer in range(3):
        expected = (attention[layer, 0, 4, 1:] + attention[layer, 1, 4, 1:]) / 2
        np.testing.assert_allclose(maps[layer].ravel(), expected, rtol=1e-12)
    figure = mean_maps_figure(rng.random((4, 6, 3)), list(attention), (2, 3), query=4)
    for layer, ax in enumerate(figure.axes[:3]):
        best = int(maps[layer].argmax())
        assert f"patch {best}: {maps[layer].max():.3f}" in ax.get_title()
        left, top, width, height = ax.patches[0].get_bbox().bounds
        assert (left, top, width, height) == (best % 3 * 2 - 0.5, best // 3 * 2 - 0.5, 2, 2)
    plt.close(figure)


def test_the_rows_of_panels_are_as_even_as_they_can_be(rng):
    for layers, expected in ((3, (1, 3)), (6, (1, 6)), (7, (2, 4)), (9, (2, 5)), (12, (2, 6))):
        figure = mean_maps_figure(rng.random((4, 6, 3)), list(rng.random((layers, 2, 7, 7))), (2, 3))
        assert figure.axes[0].get_gridspec().get_geometry() == expected
        plt.close(figure)
