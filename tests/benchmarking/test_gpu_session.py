"""A session's parts: one that ends, one that fails, one that its clock stops though it will not hear of it."""

import io
import json
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from benchmarks import gpu_session, pack_images
from benchmarks.gpu_session import Part, Session
from minivit.images.preparation import Preprocessing
from minivit.training.data import read_labelled_images

TELL = "print('RESULT {\"x\": 1}', flush=True)"
DEAF = f"import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); {TELL}; time.sleep(600)"


def parts(folder):
    return json.loads((folder / "session.json").read_text())["parts"]


@pytest.mark.parametrize("code, enough, end", [
    (TELL, None, "ended"), (f"{TELL}; import sys; sys.exit(3)", None, "failed with status 3"), (DEAF, 1, "clock")])
def test_whatever_a_part_does_its_results_are_kept_and_the_next_begins(tmp_path, code, enough, end):
    session = Session(tmp_path)
    session.run(Part("first", ["-c", code], 120, enough=enough))
    session.run(Part("second", ["-c", TELL], 120))
    assert [(p["name"], p["end"], p["results"]) for p in parts(tmp_path)] == [("first", end, [{"x": 1}]),
                                                                             ("second", "ended", [{"x": 1}])]
    assert "==== second" in (tmp_path / "session.log").read_text()


def test_a_clock_that_runs_out(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_session, "GRACE", 1)
    began = time.monotonic()
    Session(tmp_path).run(Part("deaf", ["-c", DEAF], 3))
    assert parts(tmp_path)[0]["end"] == "clock" and time.monotonic() - began < 60


def test_without_time_or_program_it_goes_on(tmp_path, monkeypatch):
    session = Session(tmp_path)
    session.run(Part("late", ["-c", TELL], 1))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    session.run(Part("missing", ["-c", TELL], 120))
    assert parts(tmp_path)[0]["end"] == "no time left" and parts(tmp_path)[1]["end"].startswith("could not run")


def test_lines_that_tell_a_result():
    line = "tests/gpu/test_gpu.py::test_a[Ti/16-{}] FAILED          [ 10%]\n"
    assert gpu_session.of_line(line) == {"test": "tests/gpu/test_gpu.py::test_a[Ti/16-{}]", "outcome": "FAILED"}
    assert gpu_session.of_line("RESULT {half") == {"unreadable": "RESULT {half"}
    assert gpu_session.of_line("collected 3 items") is None


def test_a_file_in_pieces_is_whole_again(tmp_path):
    content = bytes(range(256)) * 10
    (tmp_path / "state").write_bytes(content)
    gpu_session.cut(tmp_path / "state", 1000)
    pieces = sorted(tmp_path.glob("state.*"))
    assert [p.name for p in pieces] == ["state.0", "state.1", "state.2"] and not (tmp_path / "state").exists()
    assert b"".join(p.read_bytes() for p in pieces) == content
    gpu_session.cut(tmp_path / "state.2", 1000)
    assert (tmp_path / "state.2").exists()


def test_minivit_without_threadpoolctl():
    """As gpu_session has it where threadpoolctl is missing: its folder stands in, and a model still computes."""
    code = (f"import sys; sys.path.insert(0, {str(gpu_session.ROOT / 'benchmarks' / 'without')!r})\n"
            "sys.modules['matplotlib'] = None\nimport minivit, numpy as np\n"
            "print(minivit.forward(minivit.samples.CAT).logits.argmax())")
    found = subprocess.run([sys.executable, "-c", code], cwd=gpu_session.ROOT, capture_output=True, text=True)
    assert found.returncode == 0 and found.stdout.strip().isdigit(), found.stderr


def test_packed_images_are_those_of_the_zip(tmp_path, rng):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name in ("train/b/1.jpg", "train/a/2.jpg", "test/a/3.jpg"):
            content = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(content, "jpeg")
            archive.writestr(name, content.getvalue())
    assert pack_images.pack(tmp_path / "images.zip", tmp_path / "new" / "images.tar.gz", "train") == 2
    with tarfile.open(tmp_path / "new" / "images.tar.gz") as packed:
        assert packed.getnames() == ["train/a/2.jpg", "train/b/1.jpg"]
    one, other = (read_labelled_images(tmp_path / name, "train", (8, 8), Preprocessing(crop_fraction=1.0))
                  for name in ("images.zip", "new/images.tar.gz"))
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.names == other.names and one.classes == other.classes == ["a", "b"]
    with pytest.raises(SystemExit, match="holds no file in valid/"):
        pack_images.pack(tmp_path / "images.zip", tmp_path / "none.tar.gz", "valid")
