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
# These start whole programs, read other files than the package's, or look at the faults themselves.
LEFT_OUT = ("tests/test_notebooks.py", "tests/test_faults.py", "tests/test_docs.py", "tests/test_readme.py",
            "tests/test_project.py", "tests/test_packaging.py", "tests/test_lite.py", "tests/explain/test_showing.py",
            "tests/benchmarking/", "tests/gpu/", "tests/parity/", "tests/kernels/")


class CoverageMap:
    """lines: {module: {line: tests}}; seconds: {test: s}; failed: tests that fail without a fault, so tell nothing."""

    def __init__(self, lines, seconds, failed=()):
        self.lines, self.failed = lines, sorted(failed)
        self.seconds = {test: s for test, s in seconds.items() if test not in failed}

    @classmethod
    def of(cls, copies):
        """The kept map where nothing has changed since, else a new one."""
        wanted = _fingerprint()
        if KEPT.exists():
            kept = json.loads(KEPT.read_text())
            if kept["of"] == wanted:
                return cls(kept["lines"], kept["seconds"], kept["failed"])
        lines, seconds, failed = {}, {}, []
        for part in _recorded(copies, _test_files()):
            seconds |= part["seconds"]
            failed += part["failed"]
            for module, tests_of in part["lines"].items():
                for line, tests in tests_of.items():
                    lines.setdefault(module, {}).setdefault(line, []).extend(tests)
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text(json.dumps({"of": wanted, "lines": lines, "seconds": seconds, "failed": failed}))
        return cls(lines, seconds, failed)

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
        names = sorted(names & set(self.seconds), key=self.seconds.get)
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
