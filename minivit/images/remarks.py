"""What Pillow remarks while it decodes, kept from the terminal, on any number of threads.

Python's filters for warnings belong to the whole process: threads that each set and restore them would leave them as
another had them. So one filter is set and stays, which asks whether the thread that warns is inside `remarks`.
"""

import threading
import warnings
from contextlib import contextmanager, suppress

_thread = threading.local()                                  # told: this thread's remarks, while it is inside


class _WhoIsInside:
    """Stands where a filter has a regular expression: it matches whatever is said on a thread that is inside."""

    def match(self, text):
        told = getattr(_thread, "told", None)
        if told is not None:
            told.append(text)
        return told is not None


_FILTER = ("ignore", _WhoIsInside(), Warning, None, 0)


def _to_the_front():
    """Put the filter first of all: the first that matches decides."""
    if not warnings.filters or warnings.filters[0] is not _FILTER:
        with suppress(ValueError):
            warnings.filters.remove(_FILTER)
        warnings.filters.insert(0, _FILTER)


_to_the_front()                                             # so that whoever puts back older filters puts it back too


@contextmanager
def remarks():
    """Inside, no warning of this thread is shown, or raised under -W error: the list that it yields has their texts."""
    _to_the_front()
    before = getattr(_thread, "told", None)
    try:
        _thread.told = told = []
        yield told
    finally:
        _thread.told = before
