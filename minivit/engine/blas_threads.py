"""How many threads BLAS uses: a setting of the whole process, which several callers may need to be one at a time."""

import os
import threading
from contextlib import contextmanager
from functools import cache

import threadpoolctl


def thread_count():
    """BLAS's threads: set OPENBLAS_NUM_THREADS, or threadpoolctl's limits, and minivit uses as many of its own."""
    with _limited.lock:
        return _limited.threads if _limited.users else max((b["num_threads"] for b in blas().info()), default=1)


@contextmanager
def one_thread_blas():
    """BLAS on one thread. The last caller that leaves gives it back the number that the first one found."""
    limited = _limited
    limited.enter()
    try:
        yield
    finally:
        limited.leave()


@cache
def blas():
    """threadpoolctl's handle on the BLAS that NumPy uses."""
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


class _Limited:
    """users: the callers that need one thread now. threads: how many there were before the first of them."""

    def __init__(self):
        self.lock, self.users, self.threads, self.limiter = threading.RLock(), 0, 1, None

    def enter(self):
        with self.lock:
            if not self.users:
                self.threads = thread_count()
                self.limiter = blas().limit(limits=1)
            self.users += 1

    def leave(self):
        with self.lock:
            self.users -= 1
            if not self.users:
                self.limiter.restore_original_limits()


_limited = _Limited()


def _begin_anew():
    """In a forked child: the callers were threads of the parent, one of which may have held the lock."""
    global _limited
    if _limited.users:
        _limited.limiter.restore_original_limits()
    _limited = _Limited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
