"""Runs tests inside a copy, at the orders of `copies.Copy`: a line of JSON each, [what, tests, the answer's path].

What all tests import is imported once; each order is carried out by a fork, which imports the package with its fault.
"""

import faulthandler
import json
import os
import sys
import traceback
from pathlib import Path

import coverage
import hypothesis  # noqa: F401  imported for the forks, as are those below
import matplotlib.pyplot  # noqa: F401
import numpy  # noqa: F401
import PIL.Image  # noqa: F401
import pytest
import threadpoolctl  # noqa: F401
import tqdm  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 40                                            # s; no test that is asked takes nearly as long
OPTIONS = ["-q", "-p", "no:faulthandler", "-p", "no:cacheprovider", "--tb=no", "--assert=plain",
           f"--basetemp={ROOT / 'basetemp'}"]


class InOrder:
    """Runs the wanted tests alone, in the order they are named, and keeps the first that fails.

    A fault can make a test run for ever: the process then ends, and the answer that was left says which test it was.
    """

    def __init__(self, wanted, answer):
        self.places, self.failed, self.answer = {name: i for i, name in enumerate(wanted)}, None, answer

    def pytest_runtest_logstart(self, nodeid):
        self.answer.write_text(json.dumps(f"{nodeid} (does not end)"))
        faulthandler.dump_traceback_later(LONGEST, exit=True)

    def pytest_collection_modifyitems(self, items):
        items[:] = sorted((item for item in items if item.nodeid in self.places),
                          key=lambda item: self.places[item.nodeid])

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed = self.failed or report.nodeid


def processor_seconds():
    """Of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


class Recorder:
    """Tells coverage which test runs, and keeps each test's outcome and seconds, the processor's."""

    def __init__(self, watch):
        self.watch, self.seconds, self.failed, self.begun = watch, {}, [], 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid):
        self.watch.switch_context(nodeid)
        self.begun = processor_seconds()

    def pytest_runtest_logfinish(self, nodeid):
        self.seconds[nodeid] = round(processor_seconds() - self.begun, 3)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)


def first_failure(wanted, answer):
    """The first of these tests that fails, or None."""
    plugin = InOrder(wanted, answer)
    files = sorted({name.partition("::")[0] for name in wanted})
    status = pytest.main(["-x", *OPTIONS, *files], plugins=[plugin])
    faulthandler.cancel_dump_traceback_later()
    if status not in (0, 1, 2) or bool(status) != bool(plugin.failed):
        raise RuntimeError(f"pytest ended with status {status}, the failed test being {plugin.failed}")
    return plugin.failed


def record(names, answer):
    """{"lines": {module: {line: tests}}, "seconds": {test: s}, "failed": tests} of the tests in a file.

    names: the file, then those of its tests that are left out.
    """
    watch = coverage.Coverage(data_file=None, include=[f"{ROOT / 'minivit'}/*"], config_file=False)
    watch.start()
    plugin = Recorder(watch)
    pytest.main([*OPTIONS, names[0], *(f"--deselect={name}" for name in names[1:])], plugins=[plugin])
    watch.stop()
    data, lines = watch.get_data(), {}
    for file in data.measured_files():
        module = Path(file).relative_to(ROOT / "minivit").with_suffix("").as_posix()
        lines[module] = {line: [name for name in contexts if name]
                         for line, contexts in data.contexts_by_lineno(file).items()}
    return {"lines": lines, "seconds": plugin.seconds, "failed": plugin.failed}


def carry_out(what, tests, answer):
    """In a fork: what the order asks for, its answer written to the path, what is printed to told.txt."""
    sys.stdout.flush()
    told = os.open(ROOT / "told.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(told, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    result = {"first_failure": first_failure, "record": record}[what](tests, Path(answer))
    import minivit
    if Path(minivit.__file__).resolve().parent != ROOT / "minivit":
        raise RuntimeError(f"the tests imported {minivit.__file__}, not the copy in {ROOT}")
    Path(answer).write_text(json.dumps(result))


def main():
    """Answers each order with the processor seconds that its fork and all its processes took."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                carry_out(*json.loads(line))
            except BaseException:
                traceback.print_exc()
                Path(json.loads(line)[2]).unlink(missing_ok=True)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
        _, _, usage = os.wait4(child, 0)
        print(usage.ru_utime + usage.ru_stime, flush=True)


if __name__ == "__main__":
    main()
