import math

import numpy as np
import pytest
from peaked import relative_error

import minivit
from minivit import loss

CLASSES = np.array([2, 0, 4])


def smoothed(rng):
    t = rng.random((3, 5))
    return t / t.sum(axis=1, keepdims=True)


def probabilities(row):
    total = sum(math.exp(s) for s in row)
    return [math.exp(s) / total for s in row]


class WithLabels:
    """The loss as a section of the logits, for gradient_check: its upstream gradient is one number."""

    def __init__(self, labels):
        self.labels = labels

    def forward(self, logits):
        return loss.forward(logits, self.labels)

    def backward(self, dy, cache):
        return dy * loss.backward(cache)


def test_it_is_the_mean_of_minus_log_p(rng):
    logits = rng.standard_normal((3, 5))
    value, _ = loss.forward(logits, CLASSES)
    expected = -sum(math.log(probabilities(logits[b].tolist())[k]) for b, k in enumerate(CLASSES)) / 3
    assert value.shape == () and float(value) == pytest.approx(expected, rel=1e-14)


def test_soft_labels_weigh_the_classes(rng):
    logits, t = rng.standard_normal((3, 5)), smoothed(rng)
    value, _ = loss.forward(logits, t)
    expected = -sum(t[b, k] * math.log(probabilities(logits[b].tolist())[k]) for b, k in np.ndindex(3, 5)) / 3
    assert float(value) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("kind", ["classes", "probabilities", "not summing to one"])
def test_gradients_equal_finite_differences(rng, kind):
    labels = {"classes": CLASSES, "probabilities": smoothed(rng), "not summing to one": rng.random((3, 5))}[kind]
    report = minivit.gradient_check(WithLabels(labels), 2 * rng.standard_normal((3, 5)))
    assert report.passed and report.worst <= 1e-7, f"\n{report}"


def test_the_gradient_is_predicted_minus_wanted(rng):
    logits = rng.standard_normal((3, 5))
    _, cache = loss.forward(logits, CLASSES)
    expected = np.array([probabilities(row) for row in logits.tolist()])
    for b, k in enumerate(CLASSES):
        expected[b, k] -= 1
    assert relative_error(loss.backward(cache), expected / 3) <= 1e-14
    assert np.abs(loss.backward(cache).sum(axis=1)).max() <= 1e-15


def test_knowing_nothing_costs_log_K():
    value, _ = loss.forward(np.full((3, 5), 7.0), CLASSES)
    assert float(value) == pytest.approx(math.log(5), rel=1e-15)


def test_huge_logits_stay_finite():
    value, cache = loss.forward(np.array([[1e5, 0, -1e5]]), np.array([2]))
    assert float(value) == 2e5 and loss.backward(cache).tolist() == [[1, 0, -1]]


def test_float32_stays_float32_and_nothing_is_changed(rng):
    logits, t = rng.standard_normal((3, 5)).astype(np.float32), smoothed(rng)
    kept_logits, kept_t = logits.copy(), t.copy()
    for labels in (CLASSES, t):
        value, cache = loss.forward(logits, labels)
        first = loss.backward(cache).copy()
        assert value.dtype == first.dtype == np.float32 and np.array_equal(loss.backward(cache), first)
    assert np.array_equal(logits, kept_logits) and np.array_equal(t, kept_t)


@pytest.mark.parametrize("labels, message", [
    (np.array([0, 5, 1]), "from 0 to 4, found 0 to 5"),
    (np.array([0, -1, 1]), "from 0 to 4, found -1 to 1"),
    (np.array([0, 1]), r"shape \(2,\) do not fit logits of shape \(3, 5\)"),
    (np.zeros((3, 4)), r"shape \(3, 4\) do not fit"),
    (np.array([0.0, 1.0, 2.0]), "whole numbers, found dtype float64"),
])
def test_labels_that_do_not_fit_are_an_error(labels, message):
    with pytest.raises(ValueError, match=message):
        loss.forward(np.zeros((3, 5)), labels)
