"""What the project says of itself agrees: version, bounds, changes, citation, workflow."""

import re
from pathlib import Path

import pytest

import minivit

ROOT = Path(__file__).parent.parent


def read(name):
    return (ROOT / name).read_text("utf-8")


def test_the_version_is_the_newest_of_the_changes_and_the_citations():
    assert re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)[0] == minivit.__version__
    assert f"\nversion: {minivit.__version__}\n" in read("CITATION.cff")


def test_the_lower_bounds_are_the_versions_that_make_oldest_tests():
    bounds = dict(re.findall(r'"([a-z]+)>=([\d.]+)"', re.search(r"^dependencies = (.*)$", read("pyproject.toml"),
                                                               re.MULTILINE)[1]))
    pins = dict(re.findall(r"^([a-z]+)==([\d.]+)$", read("tests/oldest.txt"), re.MULTILINE))
    assert set(bounds) <= set(pins) and len(bounds) >= 5
    for name, bound in bounds.items():
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", pins[name]), name
    assert 'requires-python = ">=3.10"' in read("pyproject.toml")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_to_files(page):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", read(page)) if not link.startswith("http")]
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_targets_that_contributing_names_are_there():
    named = set(re.findall(r"^make ([a-z-]+) ", read("CONTRIBUTING.md"), re.MULTILINE))
    assert {"test", "oldest", "newest", "types"} <= named
    assert named <= set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))


def test_the_workflow_runs_every_system_and_both_ends_of_the_versions():
    workflow = read(".github/workflows/tests.yml")
    assert "system: [ubuntu-latest, macos-latest, windows-latest]" in workflow
    assert 'python: "3.10"' in workflow and "tests/oldest.txt" in workflow
