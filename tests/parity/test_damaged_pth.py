"""Files of torch.save: damaged, packed, and malicious. 300 damaged ones, seeded, for each of two sets of names."""

import collections
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import minivit

sys.path.insert(0, str(Path(__file__).parent.parent / "fuzz"))

import damage
from checkpoint_files import FORMATS, small_model
from test_bombs import LOAD, RunsCode

pytestmark = pytest.mark.parity
EACH = 60


def save(tensors, path, **options):
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, path, **options)
    return path


def load(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return minivit.load(path, num_heads=2)


@pytest.fixture(params=["timm", "hugging_face"])
def tensors(request):
    return FORMATS[request.param](small_model())


@pytest.mark.parametrize("harm", [damage.renamed, damage.of_other_shape, damage.not_finite])
def test_damaged_tensors(harm, tensors, tmp_path):
    for seed in range(EACH):
        with pytest.raises(minivit.CheckpointError):
            load(save(harm(tensors, np.random.default_rng(seed)), tmp_path / "weights.pth"))


@pytest.mark.parametrize("new_form", [True, False])
def test_files_cut_short_and_flipped(new_form, tensors, tmp_path):
    """A flipped bit may hit the payload, and then loads; a file cut short never does."""
    path = save(tensors, tmp_path / "weights.pth", _use_new_zipfile_serialization=new_form)
    content = path.read_bytes()
    load(path)
    for seed in range(EACH):
        rng = np.random.default_rng(seed)
        path.write_bytes(damage.cut_short(content, rng))
        with pytest.raises(minivit.CheckpointError):
            load(path)
        path.write_bytes(damage.flipped(content, rng))
        try:
            assert load(path).config.width == 8
        except minivit.CheckpointError:
            pass
    assert os.listdir(tmp_path) == ["weights.pth"]


def refused(path):
    """The message with which a fresh process refuses the file, within 5 seconds of CPU; torch itself takes most MB."""
    code = LOAD.replace("sys.exit(used > 500)", "sys.exit(used > 500 + base)").replace(
        "import minivit\n", "import minivit, torch\nbase = peak_megabytes()\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 5,) * 2)\n",
        1).replace("resource.setrlimit(resource.RLIMIT_CPU, (5, 5))\n", "", 1)
    result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, encoding="utf-8", timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("refused:"), result.stdout
    return result.stdout


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle", "nested"])
def test_malicious_pickles_run_nothing(form, tmp_path):
    content = RunsCode(tmp_path / "ran")
    path = tmp_path / "evil.pth"
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        state = {"state_dict": {"blocks.0.norm1.weight": content}} if form == "nested" else content
        torch.save(state, path, _use_new_zipfile_serialization=form != "legacy")
    refused(path)
    assert not (tmp_path / "ran").exists()


def test_bombs(tmp_path):
    tensors = {name: torch.from_numpy(a) for name, a in FORMATS["timm"](small_model()).items()}
    expanded = {"head.weight": torch.zeros(1).expand(100_000, 8), "head.bias": torch.zeros(1).expand(100_000)}
    torch.save({**tensors, **expanded}, tmp_path / "expanded.pth")
    assert "more than the file holds" in refused(tmp_path / "expanded.pth")

    torch.save({**tensors, "head.weight": torch.zeros(50_000_000)}, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as whole, \
            zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for member in whole.infolist():
            packed.writestr(member.filename, whole.read(member))
    assert "bomb" in refused(tmp_path / "packed.pth")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, {1: torch.zeros(2)}, torch.zeros(3),
                                     collections.OrderedDict(a=torch.zeros(2).to_sparse())])
def test_files_of_something_else(content, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(minivit.CheckpointError):
        load(tmp_path / "other.pth")
