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
    """minivit and its tests in a folder of their own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        for part in (ROOT / name for name in PARTS):
            if part.is_dir():
                shutil.copytree(part, self.folder / part.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif part.exists():
                shutil.copy(part, self.folder)
        for path in (self.folder / "minivit").rglob("*.py"):
            path.write_text(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))) + "\n", encoding="utf-8")
        # Compiled once, so that each run compiles only the module with the fault.
        self._python("-m", "compileall", "-q", "minivit", "tests")

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
        wanted, answer = self.folder / "wanted.json", self.folder / "answer.json"
        wanted.write_text(json.dumps(tests))
        answer.unlink(missing_ok=True)
        done = self._python("-m", "tests.faults.inside", what, str(wanted), str(answer))
        if not answer.exists():
            raise RuntimeError(f"{what} gave no answer:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return json.loads(answer.read_text())

    def _python(self, *arguments):
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self.folder),
                                    "OPENBLAS_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                                    "COVERAGE_CORE": "ctrace"}
        return subprocess.run([sys.executable, *arguments], cwd=self.folder, env=environment, capture_output=True,
                              text=True, encoding="utf-8")
