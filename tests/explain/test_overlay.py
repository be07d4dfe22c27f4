"""Maps over images, and the figure of deleted parts: what they show is what they were given."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from minivit.explain.attention.overlay import overlay_figure
from minivit.explain.layers.deleted_parts import deleted_parts_figure

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def test_each_map_lies_over_its_image_in_grey():
    images = np.stack([np.full((4, 4, 3), 0.25), np.full((4, 4, 3), 0.75)])
    maps = {"one": np.arange(8.0).reshape(2, 2, 2), "other": np.ones((2, 2, 2))}
    axes = np.reshape(overlay_figure(images, maps, ["a", "b"]).axes, (3, 2))
    assert [ax.get_title() for ax in axes[0]] == ["a", "b"] and axes[1, 0].get_ylabel() == "one"
    for b in range(2):
        assert np.array_equal(axes[0, b].images[0].get_array(), images[b])
        grey, over = axes[1, b].images
        assert np.array_equal(grey.get_array(), images[b, ..., 0])
        assert np.array_equal(over.get_array()[::2, ::2], maps["one"][b])
        assert over.get_clim() == (0, maps["one"][b].max())


def test_deleted_parts_are_drawn_in_percent_with_their_errors():
    ax = deleted_parts_figure({"attention": [20, 40], "MLP": [10, 50]}, 45, 50).axes[0]
    attention, mlp = ax.containers
    assert list(attention[0].get_ydata()) == [40, 80] and list(mlp[0].get_ydata()) == [20, 100]
    lower, upper = (cap.get_ydata()[0] for cap in attention[1])
    assert (upper - lower) / 2 == pytest.approx(100 * (0.4 * 0.6 / 50) ** 0.5)
    whole = next(line for line in ax.lines if line.get_label() == "whole network")
    assert whole.get_ydata()[0] == 90
