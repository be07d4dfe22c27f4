"""The figures of fine-tuning show the pictures of each class, and mean and deviation of what was measured."""

import matplotlib.pyplot as plt
import numpy as np

from minivit.explain.answers.fine_tuning_figure import few_pictures_figure, repeated_curves_figure


def test_each_class_has_its_row(rng):
    pictures = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    figure = few_pictures_figure(pictures, ["b", "a", "a", "b", "a", "b"], 2)
    shown = [np.asarray(ax.images[0].get_array()) for ax in figure.axes]
    for found, i in zip(shown, (1, 2, 0, 3), strict=True):
        np.testing.assert_array_equal(found, pictures[i])
    assert [ax.get_ylabel() for ax in figure.axes] == ["a", "", "b", ""]
    plt.close(figure)


def test_curves_have_mean_and_standard_deviation():
    found = {"one": np.array([[0.5, 0.6], [0.5, 1.0]]), "two": np.array([[0.1, 0.2], [0.3, 0.2]])}
    figure = repeated_curves_figure([0, 10], found, 0.5)
    (ax,) = figure.axes
    for container, beside, mean, std in zip(ax.containers, (-0.0625, 0.0625), ([50, 80], [20, 20]),
                                            ([0, 28.284271], [14.142136, 0]), strict=True):
        line, _, (bars,) = container
        np.testing.assert_allclose(line.get_xydata(), np.column_stack([[beside, 10 + beside], mean]))
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_allclose(ends, np.column_stack([np.subtract(mean, std), np.add(mean, std)]), atol=1e-5)
    assert list(ax.get_xticks()) == [0, 10]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["guessing", "one", "two"]
    plt.close(figure)
