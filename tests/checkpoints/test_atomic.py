"""Files that appear whole or not at all."""

import os
import stat

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
