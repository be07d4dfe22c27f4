"""Plant one fault after another in a copy of the package, and ask the tests that run its lines.

    python -m tests.faults [--only TEXT] [--jobs N]

Exit status 1 where a fault survives. The copy without a fault must pass first.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from . import FAULTS
from .copies import Copy
from .coverage_map import CoverageMap


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name or module contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    options = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if options.only in f"{fault.module} {fault.name}"]
    with tempfile.TemporaryDirectory(prefix="minivit-faults-") as folder:
        copies = [Copy(Path(folder) / str(i)) for i in range(options.jobs)]
        start = time.monotonic()
        seen = CoverageMap.of(copies)
        print(f"{len(seen.seconds)} tests pass without a fault, and which lines they run is known: "
              f"{time.monotonic() - start:.0f} s", flush=True)
        verdicts = judged(faults, copies, seen)
    print(f"\n{table(faults, verdicts)}\n{time.monotonic() - start:.0f} s")
    return 1 if any(verdict is None for verdict in verdicts) else 0


def judged(faults, copies, seen):
    """What each fault came to: the test that caught it, None where it survives, "" where it only costs time."""
    free = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def judge(fault):
        copy, start = free.get(), time.monotonic()
        try:
            tests = seen.tests_for(fault, copy.source(fault.module))
            caught = "" if fault.only_time else copy.verdict(fault, *tests)
        finally:
            free.put(copy)
        told = "only time" if fault.only_time else caught or f"NOTHING: it survives {sum(map(len, tests))} tests"
        print(f"{fault.module:26} {fault.name:56} {time.monotonic() - start:5.1f} s  {told}", flush=True)
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
