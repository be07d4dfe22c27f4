"""One run a folder: two that wrote into the same would each end well and leave files of both.

The lock is the operating system's own on an open file, so it ends with the process that has it, however that ends: a
lock file that a killed run left behind holds nobody up. The file says who has it, for the message alone.
"""

import json
import os
import socket
import sys
import time
from contextlib import contextmanager

FILE = "run.lock"
BEYOND = 1 << 30        # Windows locks bytes against reading: one that lies far behind those that name the process


@contextmanager
def held(folder):
    """Inside the block, this process alone writes into `folder`. Raises RuntimeError that names the one that does."""
    path = folder / FILE
    file = _locked(path)
    try:
        _sign(file)
        yield
    finally:
        if os.name == "nt":
            file.close()                    # there an open file cannot be removed
            _remove(path)
        else:
            _remove(path)
            file.close()


def _sign(file):
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    try:
        file.truncate(0)
        file.write(json.dumps(about).encode())
    except OSError:                         # a full disk: the lock itself needs no room
        pass


def _locked(path):
    """The lock file, open and locked."""
    while True:
        file = open(path, "ab+", buffering=0)
        try:
            _lock(file)
        except OSError as error:
            if not isinstance(error, (BlockingIOError, PermissionError)):
                file.close()
                raise OSError(f"cannot lock {path}: {error.strerror}; give a folder on another file system") from None
            holder = _holder(file)
            file.close()
            raise RuntimeError(f"{path.parent} is in use: {holder} is at work there; wait until it has ended, or give "
                               "another folder") from None
        if os.name == "nt" or _is_still_there(file, path):
            return file
        file.close()                        # whoever had it has just ended, and taken the file away


def _lock(file):
    if sys.platform == "win32":
        import msvcrt
        file.seek(BEYOND)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        try:
            import fcntl
        except ImportError:                 # as in a browser's Python, which is alone with its files
            return
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(file):
    """The process that the file names: "process 4711 on host, since 2026-01-31 12:00:00,"."""
    for _ in range(10):
        file.seek(0)
        try:
            about = json.loads(file.read(1000))
            return f"process {about['pid']:d} on {about['host']}, since {about['since']},"
        except (ValueError, KeyError, TypeError, OSError):
            time.sleep(0.05)                # locked, but not yet written
    return "another process"


def _is_still_there(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _remove(path):
    try:
        path.unlink(missing_ok=True)
    except PermissionError:                 # on Windows: another process is looking at it
        pass
