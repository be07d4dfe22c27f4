"""mypy and pyright on the README's examples: `make types`. They find mistakes, and complain of nothing else."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.types

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
MISTAKES = ["minivit.forward(3.5)", "minivit.atention", "minivit.load().layers", 'minivit.init(seed="x")',
            "minivit.backward(minivit.samples.CAT)"]


def examples():
    """The statements of README's REPL examples."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", "\n".join(blocks), re.MULTILINE)


CHECKERS = [["mypy", "--strict", "--no-error-summary"],
            ["pyright", "--level", "error", "--pythonpath", sys.executable]]


@pytest.fixture(scope="module", params=CHECKERS, ids=lambda checker: checker[0])
def complaints(request, tmp_path_factory):
    """{file: [line of each complaint]} of a checker about the examples and the mistakes."""
    folder = tmp_path_factory.mktemp("types")
    for name, lines in (("examples", examples()), ("mistakes", ["import minivit", *MISTAKES])):
        (folder / f"{name}.py").write_text("\n".join([*lines, ""]), "utf-8")
    command = [sys.executable, "-m", *request.param, "examples.py", "mistakes.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=1200)
    found = re.findall(r"(\w+)\.py:(\d+)(?::\d+)?(?: -|:) error: ", done.stdout)
    assert done.returncode == 1 and found, done.stdout + done.stderr
    return done.stdout, {name: [int(line) for file, line in found if file == name] for name in ("examples", "mistakes")}


def test_the_readmes_examples(complaints):
    told, lines = complaints
    assert sum("minivit." in line for line in examples()) >= 5
    assert lines["examples"] == [], told


def test_mistakes_are_found(complaints):
    told, lines = complaints
    assert lines["mistakes"] == list(range(2, 2 + len(MISTAKES))), told
