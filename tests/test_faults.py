"""The tables of faults must not rot: `python -m tests.faults` plants them, here it is only checked that it can."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from faults import FAULTS
from faults.coverage_map import CoverageMap
from faults.pattern import find, replaced
from faults.places import lines_that_run

ROOT = Path(__file__).resolve().parents[1] / "minivit"
SECTIONS = ("patch_embedding", "cls_token", "position_embedding", "layer_norm", "attention", "softmax", "gelu", "mlp",
            "layer", "head", "loss", "linear", "vit")


def source_of(fault):
    return (ROOT / f"{fault.module}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.module}: {fault.name}")
def test_a_fault_can_be_planted_once_and_leaves_python(fault):
    source = source_of(fault)
    changed = replaced(source, fault.old, fault.new, fault.within)
    compile(changed, fault.module, "exec")
    assert changed != ast.unparse(ast.parse(source))


def test_every_folder_and_every_section_has_its_faults():
    folders = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")}
    first = {folder.split("/")[0] for folder in folders} - {"models", "samples"} - {"."}
    assert first | {"top", "engine/gpu"} == {fault.folder for fault in FAULTS}
    count = Counter(fault.module for fault in FAULTS)
    assert all(count[section] >= 2 for section in SECTIONS)
    assert len({(fault.module, fault.name) for fault in FAULTS}) == len(FAULTS)
    assert sum(not fault.only_time for fault in FAULTS) >= 200


SOURCE = '''
SIDE = 4

def f(x, rate, *, eps=1e-6):          # a comment
    """A docstring."""
    y = g(x, rate,
          out=None) * rate
    if x > rate: y += 1
    return y

def h(x):
    return g(x, 2)
'''


@pytest.mark.parametrize("old, new, expected", [
    ("_1 * _2", "_1 / _2", "y = g(x, rate, out=None) / rate"),
    ("g(_1, _2, out=None)", "g(_2, _1)", "y = g(rate, x) * rate"),
    ("g(x, ..., out=None)", "k(x, ...)", "y = k(x, rate) * rate"),
    ("out = None", "out = x", "y = g(x, rate, out=x) * rate"),
    ("eps = 1e-6", "eps = 0.5", "def f(x, rate, *, eps=0.5):"),
    ("SIDE = 4", "SIDE = 5", "SIDE = 5"),
    ("y += _1", "pass", "        pass"),
    ("if _1 > _2:\n    ...", "if _2 > _1:\n    ...", "    if rate > x:\n        y += 1"),
])
def test_patterns(old, new, expected):
    changed = replaced(SOURCE, old, new)
    assert expected in changed
    kept = [line for line in ast.unparse(ast.parse(SOURCE)).splitlines() if line not in changed.splitlines()]
    assert len(kept) == 1                                  # one line is another, and nothing else


@pytest.mark.parametrize("change", [("rate", "speed"), ("    y =", "\n    y ="), ("g(x, rate,\n          out=None)",
                                                                                 "g(x, rate, out=None)")])
def test_a_rename_a_moved_line_and_another_layout_lose_nothing(change):
    moved = SOURCE.replace(*change)
    assert moved != SOURCE and " / " in replaced(moved, "g(...) * _1", "g(...) / _1")


@pytest.mark.parametrize("old, within, said", [
    ("g(x, ...)", None, r"'g\(x, ...\)' stands 2 times \(lines 6, 12\), expected once"),
    ("g(x, ...)", "k", "no function or class k"), ("_1 + _1", None, "stands 0 times"),
])
def test_what_does_not_stand_there_once_is_told(old, within, said):
    with pytest.raises(ValueError, match=said):
        replaced(SOURCE, old, "0", within)
    assert replaced(SOURCE, "g(x, ...)", "0", "h").endswith("return 0")


def test_a_wildcard_that_stands_twice_is_the_same_twice():
    assert replaced("a = b * b\nc = b * d", "_1 * _1", "_1") == "a = b\nc = b * d"


def lines(old, within=None):
    tree = ast.parse(SOURCE)
    return lines_that_run(tree, find(tree, old, within)[0])


def test_the_lines_that_show_a_fault():
    assert lines("out = None") == {6, 7}                   # the statement's
    assert lines("eps = 1e-6") == {6, 7, 8, 9, 5}          # a default: the function's
    assert lines("SIDE = 4") == {5, 6, 7, 8, 9, 12}        # outside of functions: those of all
    assert lines("x > rate") == {8}


def test_the_tests_that_are_asked():
    seconds = {"tests/engine/test_other.py::a": 0.1, "tests/engine/test_erf.py::b": 3.0, "tests/test_x.py::c": 0.2,
               "tests/test_x.py::d": 0.1}
    seen = CoverageMap({"engine/erf": {"6": list(seconds)[:3], "9": ["tests/test_x.py::d"]}}, seconds)

    class Planted:
        module, old, within, tests = "engine/erf", "out = None", None, ""

    assert seen.tests_for(Planted, SOURCE) == [["tests/engine/test_erf.py::b"],
                                               ["tests/engine/test_other.py::a", "tests/test_x.py::c"], []]
    Planted.tests = "tests/test_x.py"
    assert seen.tests_for(Planted, SOURCE) == [["tests/test_x.py::c", "tests/test_x.py::d"]]
