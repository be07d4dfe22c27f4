"""BLAS on one thread, for as long as anybody needs it so: several threads may, and forks and interrupts come between.

What is known for certain is who is inside: an entry in a dictionary, made and removed in one step that no interrupt
cuts in two. The libraries' settings follow from it, and are put right at each entering and leaving.
"""

import os
import threading
import time
import weakref

from .blas_settings import blas, cores, settings  # noqa: F401  blas: for who asks about the libraries

PATIENCE = 60                                                # seconds that a fork waits for running passes


def thread_count():
    """BLAS's threads: set OPENBLAS_NUM_THREADS, or threadpoolctl's limits, and minivit uses as many of its own."""
    with _lock:
        return max([setting.number() for setting in settings()], default=None) or cores()


class one_thread_blas:
    """`with one_thread_blas():` BLAS has one thread there. The last who leaves gives back the number found before.

    An interrupt may come before the first line of __exit__. Where that must not matter, `leave` follows in a `finally`;
    elsewhere the number is given back when the interrupt's traceback is forgotten.
    """

    entry = None                                             # in _inside, while this is

    def __enter__(self):
        thread = threading.get_ident()
        self.entry = entry = weakref.ref(self, _forgotten)
        try:
            if not _inside or not _waited_for(thread):
                with _gate:                                  # closed while a fork waits
                    _inside[entry] = thread
            else:
                _inside[entry] = thread
            _settle()
        except BaseException:
            self.leave()
            raise
        return self

    def __exit__(self, *error):
        self.leave()

    def leave(self):
        """May be called again: leaving twice is leaving once, and puts right what an interrupt has cut short."""
        if self.entry:
            try:
                _inside.pop(self.entry, None)
            finally:
                _settle()
            self.entry = None


def _forgotten(entry):
    """Its one_thread_blas is gone and has not left."""
    _inside.pop(entry, None)
    _settle()


def begin_worker():
    """On a thread that works for callers who are inside: libraries with a number for each thread have one on it."""
    _here.works = True
    _settle()


_lock = threading.RLock()                                    # who has it reads or changes the settings
_gate = threading.RLock()                                    # who has it enters, or forks
_inside = {}                                                 # {weak reference to a one_thread_blas: its thread}
_here = threading.local()                                    # works: this thread is a worker


def _threads_inside():
    return {thread for holder, thread in tuple(_inside.items()) if holder() is not None}


def _waited_for(thread):
    """Whether somebody who is inside may be waiting for this thread, which is inside itself, or a worker."""
    return getattr(_here, "works", False) or thread in _threads_inside()


def _settle():
    """Make the settings follow from who is inside."""
    with _lock:
        inside = _threads_inside()
        here = threading.get_ident() in inside or getattr(_here, "works", False)
        for setting in settings():
            if here if setting.of_each_thread else inside:
                setting.hold()
            else:
                setting.release()


def _before_fork():
    """Wait for the passes that run on other threads.

    Fork stops OpenBLAS's threads, for ever if they are at work, and copies locks in the state in which they are. One
    who is waited for himself cannot wait; nor does anybody for longer than PATIENCE.
    """
    if _waited_for(threading.get_ident()):
        return
    until = time.monotonic() + PATIENCE
    if _gate.acquire(timeout=PATIENCE):
        while _threads_inside() and time.monotonic() < until:
            time.sleep(0.001)


def _after_fork_in_parent():
    try:
        _gate.release()
    except RuntimeError:                                     # this thread did not wait
        pass


def _after_fork_in_child():
    """No other thread has come along; one of them may have had a lock."""
    global _lock, _gate
    _lock, _gate = threading.RLock(), threading.RLock()
    if _inside:
        for holder, thread in tuple(_inside.items()):
            if thread != threading.get_ident():
                del _inside[holder]
        _settle()


if hasattr(os, "register_at_fork"):                          # not on Windows, nor in a browser
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
