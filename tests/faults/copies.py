"""A copy of the package and its tests to plant faults in, with the source as Python itself writes it.

Faults are planted in trees (`pattern.py`), so every module of the copy is a tree written out again, the others too:
what a test says of the unchanged copy is then what it says of the package.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .pattern import replaced

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("minivit", "tests", "benchmarks", "docs", "README.md", "LICENSE", "Makefile", "pyproject.toml")


class Copy:
    """minivit and its tests in a folder of their own, with a process there that runs tests (`inside.py`).

    It closes with `with`. like: another Copy, just made, to copy. cpu: processor seconds that its tests have taken.
    """

    def __init__(self, folder, like=None):
        self.folder, self.cpu = Path(folder), 0.0
        if like is None:
            self._make()
        else:
            shutil.copytree(like.folder, self.folder)
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self.folder),
                                    "OPENBLAS_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                                    "COVERAGE_CORE": "ctrace"}
        self._process = subprocess.Popen([sys.executable, "-m", "tests.faults.inside"], cwd=self.folder,
                                         env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _make(self):
        for part in (ROOT / name for name in PARTS):
            if part.is_dir():
                shutil.copytree(part, self.folder / part.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif part.exists():
                shutil.copy(part, self.folder)
        for path in (self.folder / "minivit").rglob("*.py"):
            path.write_text(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))) + "\n", encoding="utf-8")
        # Compiled once, so that each run compiles only the module with the fault.
        subprocess.run([sys.executable, "-m", "compileall", "-q", "minivit", "tests"], cwd=self.folder, check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def source(self, module):
        return self.path(module).read_text(encoding="utf-8")

    def path(self, module):
        return self.folder / "minivit" / f"{module}.py"

    def verdict(self, fault, *lists):
        """The first test that fails with the fault in place, one list of tests after another, or None."""
        path, source = self.path(fault.module), self.source(fault.module)
        times = path.stat()
        path.write_text(replaced(source, fault.old, fault.new, fault.within), encoding="utf-8")
        try:
            return next(filter(None, (self.run("first_failure", tests) for tests in lists if tests)), None)
        finally:
            path.write_text(source, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))       # what was compiled before is valid again

    def run(self, what, tests):
        """What `inside.py` answers in the copy. Raises RuntimeError where it cannot run."""
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        self._process.stdin.write(json.dumps([what, tests, str(answer)]) + "\n")
        self._process.stdin.flush()
        self.cpu += float(self._process.stdout.readline() or 0)
        if not answer.exists():
            told = (self.folder / "told.txt").read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"{what} gave no answer:\n{told[-5000:]}")
        return json.loads(answer.read_text())
