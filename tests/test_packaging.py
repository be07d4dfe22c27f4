"""What people install: the wheel is the package, the source archive the repository, the page without dead links."""

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with wheel and source archive, as pip and PyPI get them."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    """({name: size} of the wheel's files, its METADATA)."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return ({member.filename: member.file_size for member in archive.infolist()},
                email.message_from_string(archive.read(metadata).decode()))


def test_the_wheel_is_the_package_alone(wheel):
    names, _ = wheel
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"minivit"}
    assert "minivit/models/cifar10.safetensors" in names and "minivit/samples/cat.jpg" in names
    assert "minivit/samples/photos/deer/moose.jpg" in names
    assert not [name for name in names if "benchmark" in name or "/test_" in name]


def test_the_core_needs_five_packages(wheel):
    _, metadata = wheel
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(re.match(r"[\w-]+", line)[0] for line in needed) == ["matplotlib", "numpy", "pillow",
                                                                      "threadpoolctl", "tqdm"]


def test_the_description_has_no_link_that_leads_nowhere(wheel):
    text = wheel[1].get_payload()
    assert "The Vision Transformer in pure NumPy" in text and "[arXiv 2010.11929](https://" in text
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert targets and all(target.startswith("https://") for target in targets), targets
    assert "picture above" not in text                           # there is none
    plain = " ".join(text.split())
    assert "one screen each way (minivit/vit.py)" in plain and "| minivit/vit.py | notebooks/00_tour.ipynb |" in plain


def test_the_files_that_the_description_names_are_in_the_source_archive(wheel, built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    named = re.findall(r"(?:\(|\| )((?:docs|minivit|notebooks)/[\w./]*|LICENSE)(?= \||\))", wheel[1].get_payload())
    assert len(named) > 40
    missing = [name for name in named if not any(f"{known}/".startswith(f"{name.rstrip('/')}/") for known in names)]
    assert not missing


def test_the_source_archive_holds_what_the_repository_does(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    expected = tracked.stdout.split("\n") if tracked.returncode == 0 else \
        ["tests/test_packaging.py", "notebooks/00_tour.ipynb", "docs/README.md", "benchmarks/run.py", "Makefile"]
    missing = {name for name in expected if name and not name.startswith(".ci/")} - names
    assert not missing
    assert not [name for name in names if name.startswith((".venv", "out/", "runs/"))]
