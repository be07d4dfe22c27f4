"""What training keeps in memory: the formula against the cache of a real forward pass, and the bars of the figure."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minivit
from minivit.explain.costs.training_memory import activation_count, cached_numbers, training_memory_figure


def config(**changes):
    return minivit.ViTConfig(**{"patch_size": 4, "width": 16, "num_layers": 3, "mlp_width": 40, "num_heads": 2,
                                "image_size": (8, 12), "num_classes": 5, **changes})


@pytest.mark.parametrize("changes", [{}, {"num_layers": 1}, {"num_heads": 4, "mlp_width": 8}, {"image_size": 16}])
@pytest.mark.parametrize("B", [1, 3])
def test_the_formula_counts_what_a_forward_pass_keeps(changes, B):
    c = config(**changes)
    model = minivit.init(c, seed=0)
    _, cache = minivit.vit.forward(np.zeros((B, *c.height_width, 3), np.float32), model.params, c)
    assert cached_numbers(cache) == B * activation_count(c)


def test_views_of_one_array_count_once_and_weights_do_not():
    a = np.zeros((4, 6))
    assert cached_numbers((a[:2], [a[2:].T, None], {"weight": np.ones(100)}, (np.ones(3),))) == 27


def test_a_mean_is_refused():
    with pytest.raises(ValueError, match=r'reads \[CLS\], pool="cls", found pool="mean"'):
        activation_count(config(pool="mean"))


def test_the_bars_are_bytes():
    c = config()
    figure = training_memory_figure({"one": c, "two": config(num_layers=2)}, (1, 64))
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    n, one = minivit.parameter_count(c), activation_count(c)
    np.testing.assert_allclose(heights[::2], np.array([4 * n, 16 * n, 4 * one, 256 * one]) / 1e9, rtol=1e-12)
    plt.close(figure)
