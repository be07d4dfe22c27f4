"""Files that appear whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from minivit.checkpoints.atomic import check_writable, replacing


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "state.bin"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"half")
        assert path.read_bytes() == b"old" and temporary.parent == tmp_path
        temporary.write_bytes(b"new and whole")
    assert path.read_bytes() == b"new and whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "state.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(error)), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_is_on_disk_before_it_takes_the_place(tmp_path, monkeypatch):
    """Else a power cut could leave a name that points to nothing."""
    done = []

    def watched(name, original):
        return lambda *args: (done.append(name), original(*args))

    monkeypatch.setattr(os, "fsync", watched("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", watched("replace", os.replace))
    with replacing(tmp_path / "state.bin") as temporary:
        temporary.write_bytes(b"new")
    assert done == ["fsync", "replace"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with replacing(tmp_path / "state.bin") as temporary:
        temporary.write_bytes(b"new")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "state.bin")]
    assert modes[0] == modes[1]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"), replacing(tmp_path / "none" / "state.bin"):
        raise AssertionError("nothing is written")


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "state.bin")
    for content in (b"first", b"second"):
        with replacing(tmp_path / "link") as temporary:
            temporary.write_bytes(content)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "state.bin").read_bytes() == content
    assert len(list(tmp_path.rglob("*"))) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    check_writable(tmp_path / "pipe")
    with replacing(tmp_path / "pipe") as temporary:
        temporary.write_bytes(b"through")
    assert os.read(reader, 100) == b"through" and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    os.close(reader)


def test_what_cannot_be_written_is_told_before(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path, error in ((tmp_path, IsADirectoryError), (tmp_path / "none" / "a", FileNotFoundError),
                        (tmp_path / "file" / "a", FileNotFoundError), (tmp_path / ("a" * 300), OSError)):
        with pytest.raises(error, match="cannot write"):
            check_writable(path)
    check_writable(tmp_path / "new")
    check_writable(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_bytes() == b""


def test_no_umask_is_needed(tmp_path, monkeypatch):
    """As in a browser's Python."""
    monkeypatch.delattr(os, "umask")
    with replacing(tmp_path / "a") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


# A full disk: the limit on a file's size makes the system refuse to write on, as a full disk does (there ENOSPC).

FULL = """
import pathlib, resource, sys
import minivit
from minivit.commands import cli
from toy_data import TINY, colours
from minivit.training.loop import train
from minivit.training.recipe import Recipe

folder = pathlib.Path(sys.argv[1])
model = minivit.init(TINY, seed=0, labels=["blue", "red"])
recipe = Recipe(epochs=2, batch_size=16, held_out=16, padding=1)
minivit.save(model, folder / "model.safetensors")
train(colours(80), TINY, recipe, folder / "run", progress=False, stop_after=2)
for name in ("steps.npz", "figure.png", "result.json"):
    (folder / name).write_bytes(b"old")
before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
for what in (lambda: minivit.save(model, folder / "model.safetensors"),
             lambda: train(colours(80), TINY, recipe, folder / "run", progress=False)):
    try:
        what()
    except OSError as error:
        print("told", error.errno is not None, error)
for command in (["trace", "-o", "steps.npz"], ["explain", "--sample", "-o", "figure.png"]):
    print("status", cli.main([*command[:-1], str(folder / command[-1])]))
assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("limit", [100, 3000])
def test_a_full_disk_is_told_and_old_files_stay(tmp_path, limit):
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path), str(limit)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith(("told", "status"))]
    assert [line.split()[1] for line in told] == ["True", "True", "2", "2"]
    names = ("model.safetensors", "run", "steps.npz", "figure.png")
    # Python 3.10's zipfile adds what it could not do on being thrown away.
    errors = [line for line in done.stderr.splitlines() if line.startswith("minivit:")]
    assert len(errors) == 2
    for line, name in zip([*told[:2], *errors], names):
        assert "cannot write" in line and name in line and "make room and begin again" in line


def test_the_error_of_a_full_disk_behind_another_is_found(tmp_path):
    """zipfile, closing, and Pillow's writers raise errors of their own there."""
    with pytest.raises(OSError, match=r"cannot write .*new\.npz: No room; make room") as caught, \
            replacing(tmp_path / "new.npz"):
        try:
            raise OSError(errno.ENOSPC, "No room")
        finally:
            raise ValueError("the archive has an open handle")
    assert caught.value.errno == errno.ENOSPC and not list(tmp_path.iterdir())
