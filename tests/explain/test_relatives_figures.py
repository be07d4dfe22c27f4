"""The figures of chapter 19: what they draw, against formulas."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minivit.explain.layers.gates import quick_gelu_figure, swiglu_figure
from minivit.explain.tokens.sincos_figure import measured_shift, shift_figure, sincos_figure
from minivit.position_embedding import sincos_2d


def test_quick_gelu_and_its_differences():
    figure = quick_gelu_figure()
    function, difference, slope = figure.axes
    x, quick = function.lines[1].get_data()
    np.testing.assert_allclose(quick, x / (1 + np.exp(-1.702 * x)), atol=1e-12)
    off, tanh_off = (line.get_ydata() for line in difference.lines[:2])
    np.testing.assert_allclose(off, 100 * (quick - function.lines[0].get_ydata()), atol=1e-10)
    assert np.abs(off).max() == pytest.approx(2.03, abs=0.01) and np.abs(tanh_off).max() < 0.05
    numeric = np.gradient(off, x)
    np.testing.assert_allclose(slope.lines[0].get_ydata()[2:-2], numeric[2:-2], atol=2e-2)
    plt.close(figure)


def test_swiglu():
    figure = swiglu_figure(reach=4.0)
    left, right = figure.axes[:2]
    a, silu = left.lines[0].get_data()
    np.testing.assert_allclose(silu, a / (1 + np.exp(-a)), atol=1e-12)
    np.testing.assert_allclose(left.lines[1].get_ydata()[1:-1], np.gradient(silu, a)[1:-1], atol=1e-3)
    value = right.images[0].get_array()
    assert value[0, -1] == pytest.approx(-16 / (1 + np.exp(-4)))
    assert value[-1, 0] == pytest.approx(-16 / (1 + np.exp(4)))
    plt.close(figure)


def test_sines_and_cosines_on_the_grid():
    table = sincos_2d((4, 5), 16)[0]
    figure = sincos_figure(table, (4, 5), (1, 2), count=2)
    first, _, cos_first, _, row_first = (ax.images[0].get_array() for ax in figure.axes[:5])
    np.testing.assert_allclose(first, np.broadcast_to(np.sin(np.arange(5)), (4, 5)), atol=1e-12)
    np.testing.assert_allclose(cos_first, np.broadcast_to(np.cos(np.arange(5)), (4, 5)), atol=1e-12)
    np.testing.assert_allclose(row_first, np.broadcast_to(np.sin(np.arange(4))[:, None], (4, 5)), atol=1e-12)
    likeness = next(ax for ax in figure.axes if ax.get_title().startswith("cosine")).images[0].get_array()
    assert likeness.argmax() == 1 * 5 + 2 and likeness.max() == pytest.approx(1)
    assert [figure.axes[i].get_title() for i in (0, 2, 4, 6)] == [f"feature {i}" for i in (0, 4, 8, 12)]
    plt.close(figure)


def test_the_shift_of_dinos_tenth():
    """Bicubic resampling of the places 0, 1, … themselves; PyTorch's own kernel draws a line to within 0.03."""
    torch_like = [(j + 0.5) * (14 / 16.1 - 14 / 16) for j in range(16)]
    np.testing.assert_allclose(measured_shift(14, 16)[3:-3], torch_like[3:-3], atol=0.03)
    figure = shift_figure(14, (16,))
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), torch_like, atol=1e-12)
    assert figure.axes[0].lines[0].get_ydata()[-1] == pytest.approx(-0.0842, abs=1e-4)
    plt.close(figure)
