"""The figures of training, of two models compared, and of NumPy's calls: what they show is what was measured."""

from itertools import pairwise

import matplotlib
import numpy as np
import pytest

import minivit
from minivit.checking import variations
from minivit.explain.answers import confusion_figure, learning_curves, right_and_wrong
from minivit.explain.costs import call_sheet, dispatch_cost
from minivit.explain.layers import difference_by_step

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def test_the_log_is_read_and_drawn(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,accuracy,held_out_loss,held_out_accuracy,learning_rate\n"
                    "1,2.0,0.25,,,0.001\n2,1.5,0.5,,,0.0005\n", encoding="utf-8")
    rows = learning_curves.read_log(path)
    assert rows[1] == {"epoch": 2.0, "loss": 1.5, "accuracy": 0.5, "held_out_loss": None, "held_out_accuracy": None,
                       "learning_rate": 0.0005}
    loss, accuracy, rate = learning_curves.learning_curves_figure(rows, 4).axes
    assert [len(ax.lines) for ax in (loss, accuracy, rate)] == [2, 2, 1]        # training and guessing; no held-out
    assert list(accuracy.lines[0].get_ydata()) == [25, 50]
    assert accuracy.lines[1].get_ydata()[0] == 25 and loss.lines[1].get_ydata()[0] == pytest.approx(np.log(4))
    assert list(rate.lines[0].get_ydata()) == [0.001, 0.0005]


def test_clean_training_images_and_new_runs_are_drawn():
    rates = [0.001, 0.002, 0.001, 0.002, 0.0]                           # the first rise is a warm-up, the second a run
    rows = [{"epoch": i + 1, "loss": 2.0, "accuracy": 0.5, "held_out_loss": 1.0, "held_out_accuracy": 0.75,
             "clean_loss": 0.5, "clean_accuracy": 0.875, "learning_rate": rate} for i, rate in enumerate(rates)]
    starts = learning_curves.run_starts(rows)
    assert starts == [4]
    loss, accuracy, rate = learning_curves.learning_curves_figure(rows, 4, starts=starts).axes
    clean = {line.get_label(): line.get_ydata()[0] for line in accuracy.lines}["training, as they are"]
    assert clean == 87.5
    assert [list(ax.lines[-1].get_xdata()) for ax in (loss, accuracy, rate)] == [[3.5, 3.5]] * 3


def test_the_numbers_of_a_long_run_stand_apart():
    rows = [{"epoch": i, "loss": 2.0, "accuracy": 0.5, "held_out_loss": 1.0, "held_out_accuracy": 0.75,
             "learning_rate": 0.001} for i in range(1, 241)]
    figure = learning_curves.learning_curves_figure(rows, 10)
    figure.canvas.draw()
    for ax in figure.axes:
        low, high = ax.get_xlim()
        ticks = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
        shown = [label for place, label in ticks if low <= place <= high]
        extents = [label.get_window_extent() for label in shown]
        assert len(extents) > 2 and all(left.x1 < right.x0 for left, right in pairwise(extents))


def test_classes_take_turns_right_and_wrong_apart():
    labels, said = np.array([1, 1, 0, 0, 0, 1]), np.array([0, 1, 0, 1, 0, 1])
    order = right_and_wrong.in_turn(labels, said)
    right = [n for n in order if said[n] == labels[n]]
    assert right == [2, 1, 4, 5] and [n for n in order if said[n] != labels[n]] == [3, 0]


def test_right_ones_stand_above_wrong_ones():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    images, labels = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3), np.array([0, 0, 1])
    figure = right_and_wrong.right_and_wrong_figure(images, labels, probabilities, ["cat", "dog"], across=2)
    right, empty, wrong, second = figure.axes
    assert np.array_equal(right.get_images()[0].get_array(), images[0]) and right.get_title() == "cat\n90 %"
    assert not empty.get_images()
    assert (wrong.get_title(), wrong.get_xlabel()) == ("dog\n80 %", "is: cat")
    assert (second.get_title(), second.get_xlabel()) == ("cat\n70 %", "is: dog")


def test_confusion_in_percent_of_the_true_class():
    labels, said = np.array([0, 0, 0, 0, 1, 1], np.uint8), np.array([0, 0, 0, 1, 1, 1], np.uint8)
    left, matrix, _ = confusion_figure.confusion_figure(labels, said, ["cat", "dog"]).axes
    assert [bar.get_width() for bar in left.patches] == [75, 100]
    shown = matrix.get_images()[0].get_array()
    assert shown[0, 1] == 25 and shown[1, 0] == 0 and shown.mask.tolist() == [[True, False], [False, True]]


def test_difference_figure_marks_the_first_step_that_differs():
    config = minivit.ViTConfig(patch_size=4, width=12, num_layers=2, mlp_width=16, num_heads=3, num_classes=3,
                               image_size=8)
    model = minivit.init(config, seed=0, dtype="float64")
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 3))
    tanh = next(v for v in variations.known(model) if v.cause.startswith("GELU in its tanh form"))
    comparison = minivit.compare(model, dict(variations.steps(model, x, tanh)))
    ax, = difference_by_step.difference_figure({"tanh": comparison}).axes
    line, dot, tolerance = ax.lines
    first = [row.name for row in comparison.rows].index("layer.0.hidden")
    assert list(dot.get_xdata()) == [first] and tolerance.get_ydata()[0] == comparison.tolerance
    assert (line.get_ydata()[:first] < 1e-10).all() and (line.get_ydata()[first:] > 1e-10).all()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["pixels", "layer 0", "layer 1", "norm"]


def test_call_sheet_has_a_mark_a_call():
    calls = [("reshape", "minivit.linear"), ("matmul", "minivit.linear"), ("add", "minivit.linear"),
             ("tanh", "minivit.engine.erf"), ("add", "minivit.gelu")]
    assert call_sheet.kernels(calls) == calls[1:]
    ax, = call_sheet.call_sheet_figure(calls).axes
    marks = sorted(tuple(place) for collection in ax.collections for place in collection.get_offsets().tolist())
    assert [column for column, _ in marks] == [1, 2, 3, 4, 5]
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows[0] == "add (2)" and rows[-1] == "reshape (1)"
    assert [rows[int(row)].split()[0] for _, row in marks] == [function for function, _ in calls]


def test_calls_are_timed_at_each_size():
    class Counting(np.lib.mixins.NDArrayOperatorsMixin):
        sizes = set()

        def __init__(self, array):
            self.array = array

        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            Counting.sizes.add(inputs[0].array.size)
            return ufunc(*[one.array for one in inputs])

    seconds = dispatch_cost.seconds_a_call(Counting, sizes=(1, 64), repeats=2, budget=1e-5)
    assert Counting.sizes == {1, 64} and seconds.shape == (2,) and (seconds > 0).all()
    ax, = dispatch_cost.dispatch_cost_figure({"counting": seconds}, (1, 64)).axes
    assert np.array_equal(ax.lines[0].get_ydata(), 1e6 * seconds) and ax.get_xscale() == "log"
