"""One run a folder: who has it is named, and whoever is gone holds nobody up."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from toy_data import TINY, colours, write_folder

from minivit.training import lock
from minivit.training.loop import train
from minivit.training.recipe import Recipe

HOLD = """
import pathlib, sys
from minivit.training import lock
with lock.held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that has the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"held"
    yield process
    process.kill()
    process.communicate()


def test_the_process_that_has_the_folder_is_named(tmp_path, other):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RuntimeError) as caught:
        train(colours(80), TINY, Recipe(epochs=1, batch_size=16, held_out=16, padding=1), tmp_path, progress=False)
    message = str(caught.value)
    assert f"process {other.pid} on {socket.gethostname()}, since {time.strftime('%Y-')}" in message
    assert str(tmp_path) in message and "\n" not in message
    assert sorted(tmp_path.iterdir()) == before == [tmp_path / lock.FILE]


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_a_folder_is_free_once_its_process_is_gone(tmp_path, other, end):
    if end == "killed":
        other.kill()
        other.wait()
        assert json.loads((tmp_path / lock.FILE).read_text())["pid"] == other.pid
    else:
        other.communicate()
        assert not list(tmp_path.iterdir())
    with lock.held(tmp_path):
        assert json.loads((tmp_path / lock.FILE).read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x", "host": 1, "since": 2}', b"\xff" * 5000])
def test_a_lock_file_that_says_nothing(tmp_path, other, content):
    """It holds nobody up by itself; where it is locked, the message is poorer."""
    (tmp_path / lock.FILE).write_bytes(content)
    with pytest.raises(RuntimeError, match="is in use: another process is at work there"), lock.held(tmp_path):
        raise AssertionError("two in one folder")
    other.kill()
    other.wait()
    with lock.held(tmp_path):
        pass


def test_two_threads_of_one_process(tmp_path):
    with lock.held(tmp_path):
        told = []

        def second():
            try:
                with lock.held(tmp_path):
                    told.append("two in one folder")
            except RuntimeError as error:
                told.append(str(error))

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert len(told) == 1 and f"process {os.getpid()} on" in told[0]


def test_an_error_frees_the_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), lock.held(tmp_path):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="there an open file cannot be removed")
@pytest.mark.parametrize("another", [False, True])
def test_a_file_that_its_holder_takes_away_is_no_lock(tmp_path, monkeypatch, another):
    """Between opening the file and locking it, whoever had it ends, and perhaps another has made one of its own."""
    path, locked, calls = tmp_path / lock.FILE, lock._lock, []

    def after_the_holder_has_gone(file):
        calls.append(file)
        if len(calls) == 1:
            path.rename(tmp_path / "gone")
            if another:
                path.touch()
        locked(file)

    monkeypatch.setattr(lock, "_lock", after_the_holder_has_gone)
    with lock.held(tmp_path):
        assert len(calls) == 2 and json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_many_that_come_and_go(tmp_path):
    """Never two inside at once, though the file is made and removed again and again."""
    inside, most, errors = [0], [0], []

    def visit():
        for _ in range(200):
            try:
                with lock.held(tmp_path):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    time.sleep(0.0002)
                    inside[0] -= 1
            except RuntimeError:
                pass
            except BaseException as error:
                errors.append(error)
                raise

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] and not errors


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal")
def test_two_commands_in_one_folder(tmp_path):
    write_folder(colours(80), tmp_path / "data")
    command = [sys.executable, "-m", "minivit", "train", str(tmp_path / "data"), "--out", str(tmp_path / "run"),
               "--image-size", "8", "--width", "16", "--layers", "1", "--heads", "2", "--mlp-width", "32", "--padding",
               "1", "--batch-size", "16", "--held-out", "16", "--save-seconds", "0", "--epochs"]
    first = subprocess.Popen([*command, "100000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "run" / "log.csv").exists() and first.poll() is None:
            time.sleep(0.02)
        second = subprocess.run([*command, "2", "--seed", "5"], capture_output=True, text=True, timeout=300)
        assert second.returncode == 2 and f"is in use: process {first.pid} on" in second.stderr.splitlines()[-1]
        assert "Traceback" not in second.stderr and first.poll() is None
    finally:
        first.kill()
        first.wait()
    second = subprocess.run([*command, "2", "--seed", "5"], capture_output=True, text=True, timeout=300)
    assert "belongs to another run, with recipe epochs" in second.stderr.splitlines()[-1]


def test_windows_locks_a_byte_beyond_the_text(tmp_path, monkeypatch):
    """There a locked byte cannot be read: the text must stay readable for the message."""
    calls = []

    class msvcrt:
        LK_NBLCK = 2

        @staticmethod
        def locking(handle, mode, count):
            calls.append((os.lseek(handle, 0, os.SEEK_CUR), mode, count))

    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setattr(lock.sys, "platform", "win32")
    with lock.held(tmp_path):
        assert json.loads((tmp_path / lock.FILE).read_text())["pid"] == os.getpid()
    assert calls == [(lock.BEYOND, 2, 1)]
