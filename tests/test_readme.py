"""The README's REPL examples give what it shows, and its table names every lesson once."""

import doctest
import re
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
def test_examples_give_what_the_readme_shows(block, monkeypatch, tmp_path):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)                             # as after pip install, with no clone around
    # The digits of an error of 1e-10 are rounding's, and differ from machine to machine, as does whether there are any.
    code = re.sub(r"\d\.\de-(09|1\d)|0\.0e\+00", "...", "\n".join([*BLOCKS[:block], BLOCKS[block]]))
    test = doctest.DocTestParser().get_doctest(code, {}, "README", None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report = []
    runner.run(test, out=report.append)
    assert test.examples
    assert runner.failures == 0, "".join(report)


def test_there_are_examples():
    assert len(BLOCKS) >= 2


def test_the_table_has_every_lesson():
    rows = re.findall(r"^\| (\d+|–) \|.*?\]\(minivit/([^)]+)\) \| \[.*?\]\(notebooks/([^)]+)\) \|$", README, re.M)
    assert [number for number, _, _ in rows if number != "–"] == [str(n) for n in range(18)]
    for _, module, notebook in rows:
        assert (ROOT / "minivit" / module).exists(), module
        assert (ROOT / "notebooks" / notebook).exists(), notebook


def test_every_relative_link_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert len(links) > 40
    for link in links:
        assert (ROOT / link).exists(), link
