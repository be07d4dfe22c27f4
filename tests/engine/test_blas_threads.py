"""BLAS on one thread where it is needed, with its own number afterwards; each test in a process of its own.

What threadpoolctl reads is the reference: it is not what sets the number. The tests of threads run with its oldest and
its newest version, `make threads`.
"""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from minivit.engine import blas_settings, blas_threads, threads
from tests.engine.test_threads import needs_blas

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
interrupts = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")

BEFORE = """
import faulthandler, os, queue, random, signal, sys, threading, time

def alive():
    # A process that is stuck says where: 100 seconds after the last call, however long the whole takes.
    faulthandler.dump_traceback_later(100, exit=True)

alive()
import numpy as np
import threadpoolctl
from minivit.engine import blas_settings, blas_threads, threads
from minivit.engine.blas_threads import one_thread_blas

listed = threadpoolctl.ThreadpoolController().select(user_api="blas")

def numbers():
    return {library["num_threads"] for library in listed.info()}

for setting in blas_settings.settings():
    setting.set(2)
assert numbers() == {2}
blas_threads.PATIENCE = 1000                                             # a fork that waits in vain does not pass
"""


def fresh(code):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", BEFORE + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_blas
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_number_of_threads_in_any_order(seed):
    """Threads enter and leave as they are told, some of them twice, some by an error."""
    fresh(f"""
class Thread(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.told, self.done, self.depth = queue.Queue(), queue.Queue(), 0
        self.start()

    def run(self):
        while True:
            self.inside()

    def inside(self):
        while (order := self.told.get()) == "enter":
            try:
                with one_thread_blas():
                    self.done.put(numbers())
                    self.inside()
            except ValueError:
                pass
            self.done.put(numbers())
        if order == "fail":
            raise ValueError("an error leaves too")

rng = random.Random({seed})
members = [Thread() for _ in range(8)]
times_empty = 0
for step in range(600):
    alive()
    inside = [m for m in members if m.depth]
    times_empty += not inside
    leaving = step % 40 >= 16 and inside                                 # until the last has left
    member = rng.choice(inside if leaving else [m for m in members if m.depth < 3])
    order = rng.choice(["leave", "fail"]) if leaving else "enter"
    member.depth += 1 if order == "enter" else -1
    member.told.put(order)
    expected = {{1}} if any(m.depth for m in members) else {{2}}
    assert member.done.get() == numbers() == expected, step
    assert blas_threads.thread_count() == 2
assert times_empty > 15
""")


@needs_blas
def test_the_first_thread_leaves_before_the_last():
    """threadpoolctl 3.8 lets the first thread alone change the number, and the last one here cannot give it back."""
    fresh("""
entered, leave, seen = threading.Event(), threading.Event(), []

def other(_):
    entered.set()
    assert leave.wait(30)
    seen.append(numbers())

thread = threading.Thread(target=threads.each, args=(other, [0]))
with one_thread_blas():
    thread.start()
    assert entered.wait(30)
leave.set()
thread.join()
assert seen == [{1}] and numbers() == {2}
""")


@needs_blas
def test_whoever_is_forgotten_has_left():
    """As after an interrupt between entering and the block: nobody is left to leave."""
    fresh("""
limit = one_thread_blas()
limit.__enter__()
assert numbers() == {1}
del limit
assert numbers() == {2}
""")


@needs_blas
def test_a_thread_that_threadpoolctl_does_not_obey():
    fresh("""
threadpoolctl.threadpool_limits(limits=2, user_api="blas")               # the main thread has control from now on
seen = []

def other():
    seen.extend(threads.each(lambda _: numbers(), [0, 1]))
    seen.append(numbers())

thread = threading.Thread(target=other)
thread.start()
thread.join()
assert seen == [{1}, {1}, {2}], seen
""")


@needs_blas
def test_numbers_that_others_change_meanwhile():
    fresh("""
one, = blas_settings.settings()[:1]
with one_thread_blas():
    one.set(3)                                                           # somebody else, for good
    assert blas_threads.thread_count() == 3
assert numbers() == {3}

one.set(1)                                                               # somebody else's limit, which ends meanwhile
with one_thread_blas():
    assert blas_threads.thread_count() == 1
    one.set(2)
    with one_thread_blas():
        assert numbers() == {1}
assert numbers() == {2}

with one_thread_blas(), threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
    pass
assert numbers() == {2} and blas_threads.thread_count() == 2
""")


@needs_blas
@interrupts
@pytest.mark.parametrize("loop", ["with one_thread_blas(): pass", "threads.each(abs, [1])", "threads.each(abs, [1, 2])",
                                  "model.loss_and_gradients(x, [0, 1])"])
def test_interrupts_at_any_moment(loop):
    """None is lost, none becomes another error, and afterwards everything is as before."""
    fresh(f"""
import minivit
model = minivit.init("Ti/16", num_classes=5, image_size=32, seed=3)
x = model.prepare([np.zeros((32, 32, 3), np.uint8)] * 2)
model.loss_and_gradients(x, [0, 1])
signal.signal(signal.SIGALRM, signal.default_int_handler)                # raises KeyboardInterrupt
rng = random.Random(0)

def forever():
    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 2e-3))
    while True:
        {loop}

for i in range(400):
    if i % 20 == 0:
        # It starts a thread. Where that takes the signal, before it has shut it out, Python 3.10 does not look for it.
        alive()
        time.sleep(0.02)
    try:
        forever()
    except KeyboardInterrupt:
        pass
    assert numbers() == {{2}}, i
assert not blas_threads._inside and all(setting.found is None for setting in blas_settings.settings())
assert threads.each(abs, [1, -2, 3]) == [1, 2, 3]
""")


@needs_blas
def test_an_interrupt_at_each_line():
    """What a timer may miss: in each call and line of the entering and leaving of `each`, one after another."""
    lines, = fresh("""
code = {blas_threads.__file__, blas_settings.__file__}
threads.each(abs, [1])

def trace(frame, event, argument):
    global left
    if frame.f_code.co_filename in code and event in ("call", "line"):
        left -= 1
        if left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
    return trace

lines = 0
while True:
    left = lines + 1
    sys.settrace(trace)
    try:
        threads.each(abs, [1])
    except KeyboardInterrupt as error:
        kept = error                                                     # as an interactive session keeps the last
    sys.settrace(None)
    assert numbers() == {2} and not blas_threads._inside, lines
    if left > 0:
        break
    lines += 1
print(lines)
""")
    assert int(lines) > 50


@needs_blas
@interrupts
def test_a_second_interrupt_does_not_wait_and_the_limit_stays_until_the_work_ends():
    fresh("""
begun, end = threading.Semaphore(0), threading.Event()

def work(_):
    begun.release()
    end.wait(30)

def interrupt():
    for _ in range(2):
        begun.acquire()
    for _ in range(2):
        time.sleep(0.3)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=interrupt).start()
try:
    threads.each(work, [0, 1, 2, 3])
    raise SystemExit("not interrupted")
except KeyboardInterrupt:
    pass
assert numbers() == {1} and not begun.acquire(blocking=False)            # those that had not begun never do
end.set()
while blas_threads._inside:
    time.sleep(0.01)
with blas_threads._lock:
    assert numbers() == {2}
""")


@needs_blas
@forks
def test_a_fork_waits_for_the_passes_of_other_threads():
    """OpenBLAS has locks that it does not mend in a child: one in a thousand forks beside small products hung."""
    fresh("""
begun, ended = threading.Event(), []

def work(_):
    begun.set()
    time.sleep(0.5)
    ended.append(True)

thread = threading.Thread(target=threads.each, args=(work, [0, 1]))
thread.start()
assert begun.wait(30)
child = os.fork()
if child == 0:
    signal.alarm(60)
    a = np.ones((300, 300))
    good = len(ended) == 2 and numbers() == {2} and (threads.each(a.__matmul__, [a, a])[1] == 300).all()
    os._exit(0 if good else 1)
assert os.waitpid(child, 0)[1] == 0
thread.join()
assert numbers() == {2} and threads.each(abs, [-1, 2]) == [1, 2]
""")


@needs_blas
@forks
@pytest.mark.parametrize("items", [[0], [0, 1]])
def test_a_fork_within_a_pass_waits_for_nobody(items):
    """Else it would wait for itself. In the child the pass goes on alone, and gives back the number when it leaves."""
    fresh(f"""
def work(item):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        threads.each(lambda _: numbers() == {{1}} or os._exit(5), [0])
        if len({items}) > 1:
            os._exit(0)                                                  # a worker: its pool has not come along
    return child

try:
    children = threads.each(work, {items})
    if children == [0]:
        os._exit(0 if numbers() == {{2}} else 3)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    assert numbers() == {{2}}
except BaseException:
    import traceback
    traceback.print_exc()
    os._exit(4)
""")


@needs_blas
@forks
def test_threads_of_the_parent_are_not_inside_in_its_child():
    """Whoever forks is inside, and so waits for nobody; the other thread does not come along."""
    fresh("""
entered, leave = threading.Event(), threading.Event()

def other():
    with one_thread_blas():
        entered.set()
        leave.wait(60)

thread = threading.Thread(target=other)
thread.start()
assert entered.wait(30)
with one_thread_blas():
    child = os.fork()
    if child == 0:
        signal.alarm(60)
if child == 0:
    os._exit(0 if numbers() == {2} else 3)
assert numbers() == {1}
leave.set()
thread.join()
assert os.waitpid(child, 0)[1] == 0 and numbers() == {2}
""")


@needs_blas
@forks
def test_forks_beside_a_computing_thread():
    """In the parent and in the child nothing hangs, and both go on computing."""
    fresh("""
import minivit
image, stop, passes = np.zeros((32, 32, 3), np.uint8), threading.Event(), []
minivit.forward(image)                                                   # a fork amid an import hangs Python itself

def work():
    while not stop.is_set():
        passes.append(len(minivit.forward([image] * 4)))

computing = [threading.Thread(target=work) for _ in range(2)]
for thread in computing:
    thread.start()
for _ in range(20):
    alive()
    child = os.fork()
    if child == 0:
        signal.alarm(60)                                                 # ends a child that hangs
        minivit.forward(image)
        minivit.forward([image] * 4)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in computing:
    thread.join()
assert passes and numbers() == {2}
""")


def test_a_single_item_given_from_within_the_pool_runs_there():
    fresh("""
threads.thread_count, threads.SMALLEST_SHARED = lambda: 2, 0

def parts(_):
    return threads.spread(lambda part: (part, threading.current_thread().name), 10, np.empty(10))

for (part, name), outside in threads.each(lambda _: (threads.each(parts, [0])[0][0], threading.current_thread().name),
                                          [1, 2, 3]):
    assert part == slice(0, 10) and name == outside
""")


def test_nothing_is_kept():
    """Of results and of errors, as soon as the caller has let them go."""
    fresh("""
import gc, weakref
threads.thread_count = lambda: 2
gc.disable()

class Large:
    pass

def work(fail):
    kept.append(weakref.ref(large := Large()))
    if fail:
        raise ValueError("with a traceback that knows the array")
    return large

for fail in (False, True):
    kept = []
    try:
        threads.each(work, [fail, fail, False])
    except ValueError:
        pass
    time.sleep(0.1)
    alive = [ref() is not None for ref in kept]
    assert not any(alive), (fail, alive)
""")


def test_workers_of_another_number_end():
    fresh("""
for count in range(2, 30):
    alive()
    threads.thread_count = lambda: count
    assert threads.each(abs, [1, -2, 3]) == [1, 2, 3]
end = time.monotonic() + 60
while threading.active_count() > 1 + 26 + 27 + 28 + 29 and time.monotonic() < end:
    time.sleep(0.05)
assert threading.active_count() <= 1 + 26 + 27 + 28 + 29, threading.active_count()
""")


class EachThreads:
    """A library whose number each thread has for itself."""

    def __init__(self):
        self.numbers = {}

    def get(self):
        return self.numbers.get(threading.get_ident(), 2)

    def set(self, number):
        self.numbers[threading.get_ident()] = number


def test_a_library_with_a_number_for_each_thread(monkeypatch):
    """Held where the work is done, given back to who entered; others' numbers stay."""
    library = EachThreads()
    setting = blas_settings.SettingOfEachThread(library.get, library.set)
    monkeypatch.setattr(blas_threads, "settings", lambda: [setting])
    monkeypatch.setattr(threads, "_pool", threads.lru_cache(threads._pool.__wrapped__))
    monkeypatch.setattr(threads, "SMALLEST_SHARED", 0)
    meeting = threading.Barrier(2, timeout=30)

    def inside(_):
        meeting.wait()
        return library.get(), threading.get_ident()

    for seen in (threads.each(inside, [0, 1]), threads.each(lambda _: threads.spread(inside, 2, threads.np.ones(2)),
                                                            [0])[0]):
        assert [number for number, _ in seen] == [1, 1] and len({thread for _, thread in seen}) == 2
        assert library.get() == 2 and blas_threads.thread_count() == 2
    with blas_threads.one_thread_blas():
        other = []
        thread = threading.Thread(target=lambda: other.append(library.get()))
        thread.start()
        thread.join()
        assert library.get() == 1 and other == [2] and blas_threads.thread_count() == 2
    assert library.get() == 2


@pytest.mark.parametrize("platform, variable, expected", [("darwin", None, 2), ("darwin", "3", 3), ("darwin", "0", 2),
                                                          ("darwin", "many", 2), ("emscripten", None, 1)])
def test_a_blas_that_cannot_be_listed(monkeypatch, platform, variable, expected):
    """macOS's Accelerate: all cores, where threadpoolctl finds no library; in a browser one thread."""
    nothing = blas_settings.blas().select()
    monkeypatch.setattr(blas_settings, "blas", lambda: nothing)
    monkeypatch.setattr(blas_threads, "settings", blas_settings.settings.__wrapped__)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 7}, raising=False)
    monkeypatch.delenv("VECLIB_MAXIMUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("VECLIB_MAXIMUM_THREADS", variable)
    assert blas_threads.thread_count() == expected
    workers = threads.each(lambda _: (time.sleep(0.05), threading.get_ident())[1], range(6))
    assert len(set(workers)) == expected
