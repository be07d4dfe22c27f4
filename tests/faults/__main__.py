"""Plant one fault after another in a copy of the package, and ask the tests that run its lines.

    python -m tests.faults [--only TEXT] [--jobs N]

It needs fork, as Linux and macOS have it. Seconds beside a fault are those of the processor.
Exit status 1 where a fault survives. A test that fails without one is told, and not asked.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

from . import FAULTS
from .copies import Copy
from .coverage_map import CoverageMap


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name or module contains this")
    # One more than there are processors: tests wait too, for clocks and for programs that they start.
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="how many at a time (%(default)s)")
    options = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if options.only in f"{fault.module} {fault.name}"]
    start = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="minivit-faults-")))
        first = Copy(folder / "0")
        copies = [stack.enter_context(copy) for copy in
                  (first, *(Copy(folder / str(i), like=first) for i in range(1, options.jobs)))]
        seen = CoverageMap.of(copies)
        print(f"{len(seen.seconds)} tests pass without a fault, and which lines they run is known: "
              f"{time.monotonic() - start:.0f} s", flush=True)
        for test in seen.failed:
            print(f"FAILS WITHOUT A FAULT, and so is not asked: {test}", flush=True)
        verdicts = judged(faults, copies, seen)
    cpu = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"\n{table(faults, verdicts)}\n{time.monotonic() - start:.0f} s, {cpu:.0f} s of processor time")
    survivors = [fault for fault, verdict in zip(faults, verdicts) if verdict is None]
    for fault in survivors:
        print(f"SURVIVES: {fault.module}: {fault.name}")
    for test in seen.failed:
        print(f"FAILS WITHOUT A FAULT: {test}")
    return 1 if survivors else 0


def judged(faults, copies, seen):
    """What each fault came to: the test that caught it, None where it survives, "" where it only costs time."""
    free = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def judge(fault):
        copy = free.get()
        before = copy.cpu
        try:
            tests = seen.tests_for(fault, copy.source(fault.module))
            caught = "" if fault.only_time else copy.verdict(fault, *tests)
        finally:
            seconds = copy.cpu - before
            free.put(copy)
        told = "only time" if fault.only_time else caught or f"NOTHING: it survives {sum(map(len, tests))} tests"
        print(f"{fault.module:26} {fault.name:56} {seconds:5.1f} s  {told}", flush=True)
        return caught

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(judge, faults))


def table(faults, verdicts):
    """Planted, caught and only costing time, a line for each folder."""
    lines = [f"{'folder':14} {'planted':>8} {'caught':>8} {'only time':>10}"]
    for folder in [*sorted({fault.folder for fault in faults}), "all"]:
        mine = [v for fault, v in zip(faults, verdicts) if folder in (fault.folder, "all")]
        lines.append(f"{folder:14} {len(mine):8} {sum(bool(v) for v in mine):8} {mine.count(''):10}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
