"""Which tests run which lines of the package: recorded once, by coverage.py, and kept until a file changes."""

import ast
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from .copies import ROOT
from .pattern import find
from .places import lines_that_run

KEPT = ROOT / "out" / "coverage_map.json"
# These run whole programs or notebooks for minutes, or look at the faults themselves.
LEFT_OUT = ("tests/test_notebooks.py", "tests/test_faults.py", "tests/gpu/", "tests/parity/", "tests/kernels/")


class CoverageMap:
    """lines: {module: {line: tests}}; seconds: {test: s}."""

    def __init__(self, lines, seconds):
        self.lines, self.seconds = lines, seconds

    @classmethod
    def of(cls, copies):
        """The kept map where nothing has changed since, else a new one. Raises RuntimeError where a test fails."""
        wanted = _fingerprint()
        if KEPT.exists():
            kept = json.loads(KEPT.read_text())
            if kept["of"] == wanted:
                return cls(kept["lines"], kept["seconds"])
        lines, seconds = {}, {}
        for part in _recorded(copies, _test_files()):
            if part["failed"]:
                raise RuntimeError(f"without a fault these tests fail: {', '.join(part['failed'][:5])}")
            seconds |= part["seconds"]
            for module, tests_of in part["lines"].items():
                for line, tests in tests_of.items():
                    lines.setdefault(module, {}).setdefault(line, []).extend(tests)
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps({"of": wanted, "lines": lines, "seconds": seconds}))
        return cls(lines, seconds)

    def tests_for(self, fault, source):
        """The tests that run the fault's lines, in two lists: those of its own file or folder, then all others.

        Mostly the first list tells, and a list of few files starts sooner. In each, the quick ones come first.
        """
        if fault.tests:
            return [[name for name in self.seconds if name.startswith(fault.tests)], []]
        tree = ast.parse(source)
        place, _ = find(tree, fault.old, fault.within)
        of_line = self.lines.get(fault.module, {})
        names = {name for line in lines_that_run(tree, place) for name in of_line.get(str(line), ())}
        names = sorted(names, key=self.seconds.get)
        folder, _, module = f"tests/{fault.module}".rpartition("/")
        own = [name for name in names if name.startswith(f"{folder}/test_{module}.py")]
        own = own or [name for name in names if name.startswith(f"{folder}/") and folder != "tests"]
        return [own, [name for name in names if name not in own]]


def _recorded(copies, files):
    """What each test file runs, the copies side by side; the largest files first, so that they end together."""
    files = sorted(files, key=lambda name: (ROOT / name).stat().st_size, reverse=True)
    free = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def record(file):
        copy = free.get()
        try:
            return copy.run("record", [file])
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(record, files))


def _test_files():
    found = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py"))
    return [name for name in found if not name.startswith(LEFT_OUT)]


def _fingerprint():
    whole = hashlib.sha256()
    for part in ("minivit", "tests"):
        for path in sorted((ROOT / part).rglob("*.py")):
            if ROOT / "tests" / "faults" not in path.parents:
                whole.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()
