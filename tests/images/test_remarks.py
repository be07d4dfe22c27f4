"""Pillow's warnings are kept quiet on any number of threads, and everybody else's are shown as they were."""

import os
import sys
import threading
import warnings

import pytest
from platforms import needs_fork

from minivit.images.remarks import remarks


def warned(text):
    """The texts of the warnings that are shown where one says this."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        warnings.warn(text, UserWarning, stacklevel=1)
    return [str(warning.message) for warning in shown]


def test_remarks_are_those_of_this_thread_and_nothing_is_raised_under_w_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with remarks() as told:
            warnings.warn("quiet", UserWarning, stacklevel=1)
            with remarks() as inner:
                warnings.warn("inner", UserWarning, stacklevel=1)
            warnings.warn("quiet again", UserWarning, stacklevel=1)
        assert (told, inner) == (["quiet", "quiet again"], ["inner"])
        with pytest.raises(UserWarning):
            warnings.warn("loud", UserWarning, stacklevel=1)
    with pytest.raises(KeyError), remarks():
        raise KeyError
    assert warned("loud") == ["loud"]


def test_filters_that_others_set_meanwhile_hold_and_go():
    """A thread comes in during another's catch_warnings, and goes after it: who swaps as well puts back wrongly."""
    with remarks():                                          # pytest's own filters for each test lack ours
        pass
    came, go, seen = threading.Event(), threading.Event(), []

    def decode():
        with remarks() as told:
            came.set()
            go.wait(10)
            warnings.warn("remark", UserWarning, stacklevel=1)
            seen.append(told)

    thread = threading.Thread(target=decode)
    shown = warnings._showwarnmsg_impl
    with warnings.catch_warnings(record=True) as own:
        warnings.simplefilter("always")
        thread.start()
        assert came.wait(10)
        warnings.warn("own", UserWarning, stacklevel=1)
    go.set()
    thread.join()
    assert [str(warning.message) for warning in own] == ["own"] and seen == [["remark"]]
    assert warnings._showwarnmsg_impl is shown and warned("later") == ["later"]


def test_many_calls_add_one_filter():
    with warnings.catch_warnings():
        with remarks():
            count = len(warnings.filters)
        for action in ("error", "ignore", "always") * 3:
            warnings.simplefilter(action)
            with remarks():
                pass
        assert len(warnings.filters) <= count + 3


def test_an_interrupt_at_any_line_leaves_warnings_as_they_are():
    def stopped_after(lines):
        def trace(frame, event, _):
            nonlocal lines
            if frame.f_code.co_name == "remarks" and event == "line":
                lines -= 1
                if not lines:
                    raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            with remarks():
                pass
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    before, lines = sys.gettrace(), 1
    while stopped_after(lines):
        assert warned(f"line {lines}") == [f"line {lines}"]
        lines += 1
    assert lines > 4


@needs_fork
def test_a_fork_while_another_thread_decodes_has_its_warnings():
    came, go = threading.Event(), threading.Event()

    def decode():
        with remarks():
            came.set()
            go.wait(10)

    thread = threading.Thread(target=decode)
    thread.start()
    assert came.wait(10)
    child = os.fork()
    if child == 0:
        with remarks():
            pass
        os._exit(warned("here") != ["here"])
    _, status = os.waitpid(child, 0)
    go.set()
    thread.join()
    assert status == 0
