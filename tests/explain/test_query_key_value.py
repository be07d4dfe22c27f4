"""The drawing of one token: its bars are the layer's own scores and weights, and its sum is the head's output."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minivit.explain.attention.maps import attention_maps_figure
from minivit.explain.attention.query_key_value import query_key_value_figure


@pytest.fixture
def steps(rng):
    query, key, value = rng.standard_normal((3, 2, 7, 4))
    scores = query @ key.swapaxes(-1, -2) / 2
    attention = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    return {"query": query, "key": key, "value": value, "scores": scores, "attention": attention}


def axes_titled(figure, text):
    return next(ax for ax in figure.axes if text in (ax.get_title(), ax.get_xlabel()))


def test_the_bars_are_scores_and_weights_largest_first(steps, rng):
    figure = query_key_value_figure(rng.random((8, 12, 3)), steps, head=1, query=3, grid=(2, 3), most=3)
    weights = steps["attention"][1, 3]
    best = np.argsort(-weights)[:3]
    bars = [bar.get_width() for bar in axes_titled(figure, "weight a").patches]
    np.testing.assert_array_equal(bars, weights[best])
    bars = [bar.get_width() for bar in axes_titled(figure, "q·k / √d").patches]
    np.testing.assert_array_equal(bars, steps["scores"][1, 3, best])
    names = [label.get_text() for label in axes_titled(figure, "keys k").get_yticklabels()]
    assert names == ["[CLS]" if token == 0 else f"patch {token - 1}" for token in best]
    collected = np.asarray(axes_titled(figure, "Σ a v: what the token collects").images[0].get_array())
    np.testing.assert_allclose(collected[0], weights @ steps["value"][1], rtol=1e-12)
    plt.close(figure)


def test_maps_over_the_image_have_the_weights_at_its_size(steps, rng):
    figure = attention_maps_figure(rng.random((4, 6, 3)), steps["attention"], (2, 3), [0], over=True)
    grey, shown = figure.axes[1].images
    assert np.asarray(grey.get_array()).shape == (4, 6)
    np.testing.assert_array_equal(np.asarray(shown.get_array())[::2, ::2], steps["attention"][0, 0, 1:].reshape(2, 3))
    plt.close(figure)
