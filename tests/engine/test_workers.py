"""Items worked through one after another by threads: in order, not far ahead, and nothing left where it is stopped."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from platforms import needs_fork

from minivit.engine.workers import Workers

if sys.platform in ("emscripten", "wasi"):
    pytest.skip("no threads there", allow_module_level=True)


def test_results_come_in_order_from_several_threads_and_few_are_read_ahead():
    meeting, read = threading.Barrier(2, timeout=30), []

    def items():
        for i in range(20):
            read.append(i)
            yield i

    def function(i):
        meeting.wait()                                       # passed only if two run at the same time
        return i * i

    results = []
    for result in Workers(2).imap(function, items(), 4):
        results.append(result)
        assert len(read) < len(results) + 4
    assert results == [i * i for i in range(20)] and len(read) == 20


def test_an_error_stops_what_has_not_begun():
    begun = []

    def function(i):
        begun.append(i)
        time.sleep(0.01)
        return 1 // (i - 2)

    with pytest.raises(ZeroDivisionError):
        list(Workers(2).imap(function, range(100), 50))
    before = len(begun)
    time.sleep(0.1)
    assert len(begun) == before < 10


def test_a_caller_who_stops_waits_for_what_has_begun_and_the_threads_end():
    before, begun, ended = set(threading.enumerate()), [], []

    def function(i):
        begun.append(i)
        time.sleep(0.02)
        ended.append(i)

    workers = Workers(3)
    results = workers.imap(function, range(100), 12)
    next(results)
    threads = set(threading.enumerate()) - before
    results.close()
    assert len(threads) == 3 and len(begun) == len(ended) < 12
    del workers, results
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


OPEN = """
import time
from minivit.engine.workers import Workers
def function(i):
    print(i, flush=True)
    time.sleep(0.05)
results = Workers(2).imap(function, range(1000), 100)
next(results)
"""


def test_a_process_that_ends_in_the_middle_drops_the_rest():
    done = subprocess.run([sys.executable, "-c", OPEN], capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stderr == b"" and 2 <= len(done.stdout.split()) < 10


@needs_fork
def test_a_fork_in_the_middle_waits_for_no_thread_of_its_parent():
    release = threading.Event()
    results = Workers(2).imap(lambda i: i and release.wait(30), range(8), 8)
    next(results)
    child = os.fork()
    if child == 0:
        signal.alarm(10)                                     # ends the child where it waits
        results.close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    release.set()
    results.close()
    assert status == 0


# Ctrl-C at each moment: Python looks for an interrupt where a function begins, and where one written in C has ended. A
# profiler's function is called there too, so an error from it comes where an interrupt's may.
INTERRUPTED = """
import faulthandler, sys, time
from minivit.engine.workers import Workers
faulthandler.dump_traceback_later(60, exit=True)

def stopped_after(count):
    def watch(frame, event, argument):
        nonlocal count
        count -= event in ("call", "c_return")
        if not count:
            sys.setprofile(None)
            raise KeyboardInterrupt
    try:
        results = Workers(2).imap(lambda i: time.sleep(0.0002), range(6), 4)
        sys.setprofile(watch)
        try:
            for result in results:
                pass
        finally:
            sys.setprofile(None)
            results.close()
    except KeyboardInterrupt:
        return True
    return count <= 0

moments = 1
while stopped_after(moments):
    moments += 1
assert list(Workers(2).imap(abs, range(-9, 0), 4)) == list(range(9, 0, -1))
print(moments)
"""


def test_an_interrupt_at_any_moment_ends_it():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
