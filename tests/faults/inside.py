"""Runs inside a copy: `python -m tests.faults.inside first_failure|record WANTED.json ANSWER.json`."""

import faulthandler
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 60                                            # s; no test takes nearly as long
OPTIONS = ["-q", "-p", "no:faulthandler", "-p", "no:cacheprovider", "--tb=no"]


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


class Recorder:
    """Tells coverage which test runs, and keeps each test's seconds and outcome."""

    def __init__(self, coverage):
        self.coverage, self.seconds, self.failed = coverage, {}, []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid):
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] = round(self.seconds.get(report.nodeid, 0) + report.duration, 3)
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


def record(files, answer):
    """{"lines": {module: {line: tests}}, "seconds": {test: s}, "failed": tests} of all tests in these files."""
    import coverage
    watch = coverage.Coverage(data_file=None, include=[f"{ROOT / 'minivit'}/*"], config_file=False)
    watch.start()
    plugin = Recorder(watch)
    pytest.main([*OPTIONS, *files], plugins=[plugin])
    watch.stop()
    data, lines = watch.get_data(), {}
    for file in data.measured_files():
        module = Path(file).relative_to(ROOT / "minivit").with_suffix("").as_posix()
        lines[module] = {line: [name for name in contexts if name]
                         for line, contexts in data.contexts_by_lineno(file).items()}
    return {"lines": lines, "seconds": plugin.seconds, "failed": plugin.failed}


def main(what, wanted, answer):
    answer = Path(answer)
    result = {"first_failure": first_failure, "record": record}[what](json.loads(Path(wanted).read_text()), answer)
    import minivit
    if Path(minivit.__file__).resolve().parent != ROOT / "minivit":
        raise RuntimeError(f"the tests imported {minivit.__file__}, not the copy in {ROOT}")
    answer.write_text(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
