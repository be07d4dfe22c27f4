"""`minivit.check`: a right answer is called right, a wrong one is told what it looks like, nothing is raised."""

import numpy as np
import pytest

import minivit


def verdict(capsys, *arguments, **keywords):
    assert minivit.check(*arguments, **keywords) is None
    return capsys.readouterr().out.strip()


@pytest.fixture
def right(rng):
    return rng.standard_normal((3, 4, 4))


def test_an_exercise_not_begun(capsys, right):
    for nothing in (None, ...):
        assert verdict(capsys, nothing, right) == "nothing to check yet: replace the ... by your own lines"


def test_right_with_its_difference(capsys, right):
    assert verdict(capsys, right * (1 + 3e-13), right) == "right: shape (3, 4, 4), relative difference 3.0e-13"
    assert verdict(capsys, 2.0, 2) == "right: shape (), relative difference 0.0e+00"
    assert verdict(capsys, [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])).startswith("right: shape (2, 2)")


@pytest.mark.parametrize("change, text", [
    (lambda a: 0.5 * a, "it is 0.5 times the right answer"), (lambda a: -a, "it is -1 times the right answer"),
    (lambda a: a.swapaxes(1, 2), "axes 1 and 2 are swapped"), (lambda a: a[::-1], "the first axis runs backwards"),
    (lambda a: a - a.mean(axis=2, keepdims=True), "the mean over axis 2 is missing"),
    (lambda a: a[:2], "the shape is (2, 4, 4), expected (3, 4, 4)"),
    (lambda a: np.where(a == a[0, 0, 0], np.nan, a), "1 of 48 numbers are not finite"),
    (lambda a: a.astype(str), "expected numbers"), (lambda a: a + 1e-6, "largest 1.0e-06"),
])
def test_wrong_and_how(capsys, right, change, text):
    found = verdict(capsys, change(right), right)
    assert found.startswith("WRONG") and text in found


def test_just_beyond_the_tolerance(capsys, right):
    assert verdict(capsys, right * (1 + 0.9e-6), right, tolerance=1e-6).startswith("right")
    assert verdict(capsys, right * (1 + 1.1e-6), right, tolerance=1e-6).startswith("WRONG")


def test_trees_line_by_line(capsys, right):
    expected = {"weight": right, "bias": right[0], "layers": [right[1]]}
    lines = verdict(capsys, {"weight": right, "bias": -right[0], "other": 1.0, "layers": [None]}, expected).splitlines()
    assert lines[0].startswith("weight: right") and lines[1].startswith("bias: WRONG")
    assert lines[2:] == ["layers.0: nothing yet", "other: not asked for"]
    lines = verdict(capsys, {"weight": right}, expected).splitlines()
    assert lines[0].startswith("weight: right") and lines[1:] == ["bias: nothing yet", "layers.0: nothing yet"]
    lines = verdict(capsys, (right, right), (right, -right)).splitlines()
    assert [line[:8] for line in lines] == ["0: right", "1: WRONG"]
    assert verdict(capsys, right, expected).splitlines() == [f"{name}: nothing yet" for name in
                                                             ("weight", "bias", "layers.0")]


def test_zero_is_compared_absolutely(capsys):
    assert verdict(capsys, np.zeros(3), np.zeros(3)).startswith("right")
    assert verdict(capsys, np.full(3, 1e-3), np.zeros(3)).startswith("WRONG")


def test_of_many_tensors_the_right_ones_share_a_line(capsys, right):
    expected = {f"w{i}": right + i for i in range(15)}
    yours = {name: array * (1 + 2e-13) for name, array in expected.items()}
    found = verdict(capsys, yours, expected)
    assert found == "15 of 15 tensors right, relative difference at most 2.0e-13"
    lines = verdict(capsys, {**yours, "w3": -right - 3, "w4": None}, expected).splitlines()
    assert lines[0].startswith("w3: WRONG") and lines[1] == "w4: nothing yet"
    assert lines[2:] == ["13 of 15 tensors right, relative difference at most 2.0e-13"]
    assert verdict(capsys, {}, expected).splitlines()[15:] == ["0 of 15 tensors right"]


class Odd:
    def __array__(self, *_, **__):
        raise RuntimeError("not on this device")


@pytest.mark.parametrize("yours, kind", [([[1, 2], [3]], "list"), ({"a": 1}, "dict"), (Odd(), "Odd"),
                                         ([1, None], "list"), (len, "builtin_function_or_method")])
def test_what_makes_no_array_is_told(capsys, yours, kind):
    assert verdict(capsys, yours, np.zeros((2, 2))) == \
        f"WRONG: found a {kind} that makes no array of numbers, expected one of shape (2, 2)"


def test_a_prediction_is_no_array(capsys):
    found = verdict(capsys, minivit.forward(minivit.samples.CAT), np.zeros((2, 2)))
    assert found == "WRONG: found a Prediction that makes no array of numbers, expected one of shape (2, 2)"


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_surplus_members_are_told(capsys, kind):
    lines = verdict(capsys, kind([1, 2, 3, 4]), [1, 2]).splitlines()
    assert [line[:8] for line in lines[:2]] == ["0: right", "1: right"]
    assert lines[2:] == ["2: not asked for", "3: not asked for"]
    lines = verdict(capsys, {"layers": kind([1, 2])}, {"layers": (1,)}).splitlines()
    assert lines[1:] == ["layers.1: not asked for"]
