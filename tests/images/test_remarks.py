"""Pillow's warnings are kept quiet on any number of threads, and the process's filters stay as they were."""

import threading
import warnings

import pytest

from minivit.images import remarks as module
from minivit.images.remarks import remarks


def test_filters_are_as_before_whoever_leaves_last():
    """Two threads, the first to come the first to go: with catch_warnings in each, its filters would stay for good."""
    before, shown = list(warnings.filters), warnings.showwarning
    came, go, seen = threading.Event(), threading.Event(), []

    def first():
        with remarks() as told:
            warnings.warn("one", UserWarning, stacklevel=1)
            came.set()
            go.wait(10)
            seen.append([str(w.message) for w in told])

    thread = threading.Thread(target=first)
    thread.start()
    assert came.wait(10)
    with remarks() as told:
        go.set()
        thread.join()
        warnings.warn("two", UserWarning, stacklevel=1)
        assert [str(w.message) for w in told][-1] == "two"
    assert seen == [["one"]]
    assert warnings.filters == before and warnings.showwarning is shown and module._inside == 0


def test_nothing_is_raised_under_w_error_and_errors_pass():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with remarks():
            warnings.warn("quiet", UserWarning, stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("loud", UserWarning, stacklevel=1)
    with pytest.raises(KeyError), remarks():
        raise KeyError
    assert module._inside == 0


def test_remarks_do_not_pile_up_while_somebody_stays_inside():
    with remarks() as told:
        for _ in range(30):
            with remarks():
                for _ in range(100):
                    warnings.warn("again", UserWarning, stacklevel=1)
        assert len(told) <= module.MOST
