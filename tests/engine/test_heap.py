"""What the C library keeps of freed memory, as the system sees it: page faults and resident size."""

import os
import platform
import subprocess
import sys

import pytest

from minivit.engine import heap

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heaps: another C library here")

BEFORE = """
import resource, threading
from minivit.engine import heap
from benchmarks.memory import resident_bytes

def filled(count, size):
    return [bytearray(size) for _ in range(count)]

assert heap.limit()
"""

FAULTS = BEFORE + """
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def layers():
    for _ in range(5):
        filled(20, 200_000)
    before = faults()
    for _ in range(50):
        filled(20, 200_000)
    print(faults() - before)

layers()
"""

RESIDENT = BEFORE + """
filled(1, 30_000_000)                       # what raises glibc's own limit, left alone

def step():
    before = resident_bytes()
    filled(50, 1_000_000)
    print(resident_bytes() - before)

thread = threading.Thread(target=step)
thread.start()
thread.join()
"""


def printed(code, **variables):
    result = subprocess.run([sys.executable, "-c", code], env={**free_environment(), **variables},
                            capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def free_environment():
    """This process's environment without what would decide for glibc."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}


@needs_glibc
def test_arrays_of_a_small_network_come_without_page_faults():
    """20 arrays of 200 kB, freed and asked for again 50 times: glibc left alone takes 47,200 faults."""
    assert int(printed(FAULTS)) < 500


@needs_glibc
def test_a_thread_keeps_no_more_than_the_limit():
    """Of 50 MB that a thread has freed; glibc left alone keeps them all."""
    assert int(printed(RESIDENT)) < heap.KEPT + 4e6


@needs_glibc
@pytest.mark.parametrize("variables, told", [({}, True), ({"MALLOC_TOP_PAD_": "1000"}, False),
                                             ({"MALLOC_TRIM_THRESHOLD_": "65536"}, True),       # it is Dask's
                                             ({"MALLOC_TRIM_THRESHOLD_": "1000"}, False),
                                             ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}, False),
                                             ({"GLIBC_TUNABLES": "glibc.rtld.optional_static_tls=512"}, True)])
def test_the_users_own_setting_stays(variables, told):
    assert printed("from minivit.engine import heap; print(heap.limit())", **variables) == str(told)


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    heap.limit.cache_clear()
    assert heap.limit() is False
    heap.limit.cache_clear()


TOLD = "from minivit.engine import heap, threads; heap.limit = lambda: print('told'); "


def test_it_is_told_when_threads_begin():
    assert printed(TOLD + "threads.each(abs, [1, 2])") == "told"


def test_processes_that_measure_other_libraries_are_left_alone():
    """They import minivit too, but for the batches."""
    batch = "worker.fresh_batch(worker.ViTConfig(), 1, worker.np.random.default_rng(0))"
    assert printed(f"{TOLD} from benchmarks import worker; {batch}") == ""
