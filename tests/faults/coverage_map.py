"""Which tests run which lines of the package: recorded by coverage.py, a record for each file of tests.

A record is kept until that file changes, or a module that its tests run.
"""

import ast
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from .copies import ROOT
from .pattern import find
from .places import lines_that_run

KEPT = ROOT / "out" / "coverage_map"
FEW = 20
# These start whole programs, read other files than the package's, look at the faults themselves, or see no fault first.
LEFT_OUT = ("tests/test_notebooks.py", "tests/test_faults.py", "tests/test_docs.py", "tests/test_readme.py",
            "tests/test_animation.py", "tests/test_project.py", "tests/test_packaging.py", "tests/test_lite.py",
            "tests/explain/test_showing.py", "tests/fuzz/test_damaged_settings.py", "tests/benchmarking/",
            "tests/site/", "tests/gpu/", "tests/parity/", "tests/kernels/")
# These take seconds each, all of a test's parameters together, and others see sooner what they see.
SLOW = tuple(f"tests/{name}" for name in (
    "checking/test_port_mistakes.py::test_mistakes_that_are_drawn",
    "checking/test_relatives_mistakes.py::test_gradient_check_of_the_sections",
    "checking/test_relatives_mistakes.py::test_no_false_cause_from_the_logits_alone",
    "checkpoints/test_atomic.py::test_a_full_disk_is_told_and_old_files_stay",
    "checkpoints/test_hub.py::test_offline_on_the_command_line",
    "commands/test_cli.py::test_a_terminal_without_the_letters_gets_others",
    "commands/test_cli.py::test_pipes_do_not_hang",
    "engine/test_blas_threads.py::test_forks_beside_a_computing_thread",
    "engine/test_blas_threads.py::test_interrupts_at_any_moment",
    "explain/test_explain.py::test_every_figure_is_labelled_and_small",
    "explain/test_neighbours_figure.py::test_the_plane_is_that_of_pca",
    "fuzz/test_damaged_files.py::test_any_flipped_byte",
    "fuzz/test_damaged_files.py::test_damaged_headers",
    "fuzz/test_damaged_files.py::test_files_cut_short",
    "fuzz/test_numbers.py::test_odd_numbers",
    "images/test_limits.py::test_the_largest_",
    "images/test_preparation.py::test_any_array_works_or_is_an_image_error",
    "many/test_cluster.py::test_without_dask_the_line_to_install_it_is_named",
    "many/test_cluster.py::test_workers_that_die_cost_no_row_and_double_none",
    "many/test_embed.py::test_memory_does_not_grow_with_the_rows",
    "many/test_tables.py::test_a_full_disk_is_told_and_the_run_goes_on_after_it",
    "training/test_training.py::test_killed_at_any_moment",
    "training/test_training.py::test_workers_change_nothing"))


class CoverageMap:
    """lines: {module: {line: tests}}; seconds: {test: s}; failed: tests that fail without a fault, so tell nothing."""

    def __init__(self, lines, seconds, failed=()):
        self.lines, self.failed = lines, sorted(failed)
        self.seconds = {test: s for test, s in seconds.items() if test not in failed}

    @classmethod
    def of(cls, copies):
        """From the kept records of test files, those of files that have changed since being made anew."""
        lines, seconds, failed = {}, {}, []
        for part in _records(copies, _test_files(copies[0].folder)):
            seconds |= part["seconds"]
            failed += part["failed"]
            for module, tests_of in part["lines"].items():
                for line, tests in tests_of.items():
                    lines.setdefault(module, {}).setdefault(line, []).extend(tests)
        return cls(lines, seconds, failed)

    def tests_for(self, fault, source):
        """The tests that run the fault's lines, in three lists: those of its own file or folder, FEW others, the rest.

        Mostly the first list tells, and a list of few files starts sooner. In each, the quick ones come first.
        """
        if fault.tests:
            return [[name for name in self.seconds if name.startswith(fault.tests)]]
        tree = ast.parse(source)
        place, _ = find(tree, fault.old, fault.within)
        of_line = self.lines.get(fault.module, {})
        names = {name for line in lines_that_run(tree, place) for name in of_line.get(str(line), ())}
        names = sorted(names & set(self.seconds), key=self.seconds.get)
        folder, _, module = f"tests/{fault.module}".rpartition("/")
        own = [name for name in names if name.startswith(f"{folder}/test_{module}.py")]
        own = own or [name for name in names if name.startswith(f"{folder}/") and folder != "tests"]
        others = [name for name in names if name not in own]
        return [own, others[:FEW], others[FEW:]]


def _records(copies, files):
    """What each test file runs, the copies side by side; the largest files first, so that they end together."""
    root = copies[0].folder
    files = sorted(files, key=lambda name: (root / name).stat().st_size, reverse=True)
    free = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def record(file):
        kept = KEPT / f"{file.replace('/', '.')}.json"
        if kept.exists() and (part := json.loads(kept.read_text()))["of"] == _hash(root, file, part["lines"]):
            return part
        copy = free.get()
        try:
            part = copy.run("record", [file, *(name for name in SLOW if name.startswith(f"{file}::"))])
        finally:
            free.put(copy)
        if not part["failed"]:
            kept.write_text(json.dumps(part | {"of": _hash(root, file, part["lines"])}))
        return part

    KEPT.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(record, files))


def _test_files(root):
    found = sorted(path.relative_to(root).as_posix() for path in (root / "tests").rglob("test_*.py"))
    return [name for name in found if not name.startswith(LEFT_OUT)]


def _hash(root, file, modules):
    """Of a file of tests, what lies beside the tests, which any of them may import, and the modules that they run."""
    beside = [path for path in sorted((root / "tests").rglob("*.py"))
              if not path.name.startswith("test_") and root / "tests" / "faults" not in path.parents]
    whole = hashlib.sha256()
    for path in (root / file, *beside, *(root / "minivit" / f"{module}.py" for module in sorted(modules))):
        whole.update(path.relative_to(root).as_posix().encode() + (path.read_bytes() if path.exists() else b""))
    return whole.hexdigest()
