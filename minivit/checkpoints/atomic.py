"""Files that appear whole: written beside their final place, flushed to disk, then moved there in one step."""

import errno
import os
import secrets
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

# The disk is full, the user's share of it is used up, or the file is larger than this process may write.
NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)


@contextmanager
def replacing(path):
    """A temporary path to write to; when the block ends without an error it takes the place of `path`.

    A crash in between leaves the old file, or none, never half of one. Where `path` is a link, the file that it leads
    to is replaced; what is no file, such as a pipe, is written to once all is there. Raises OSError where the folder is
    missing or cannot be written to.
    """
    if _is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder, Path(path).name)
            yield temporary
            with open(temporary, "rb") as file, open(path, "wb") as stream:
                shutil.copyfileobj(file, stream)
        return
    path, temporary = _begin(path)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        full = _no_room(error)
        if full:
            raise _told(full, f"cannot write {path}: {full.strerror}; make room and begin again") from None
        raise


def check_writable(path):
    """Raises OSError where `replacing` could not write: to be told before the work whose result it is."""
    if not _is_stream(path):
        _begin(path)[1].unlink()


def _is_stream(path):
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _begin(path):
    """(the path with its links followed, an empty file beside it with the permissions of any new file)."""
    given, path = path, Path(os.path.realpath(path))
    if os.path.isdir(path):
        raise IsADirectoryError(f"cannot write {given}: it is a folder; give a file's name")
    if not os.path.isdir(path.parent):
        folder = path.parent if os.path.islink(given) else Path(given).parent
        raise FileNotFoundError(f"cannot write {given}: there is no folder {folder}")
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.part{path.suffix}"
    try:
        open(temporary, "xb").close()
    except OSError as error:
        raise _told(error, f"cannot write {given}: {error.strerror}") from None
    return path, temporary


def _no_room(error):
    """The OSError of NO_ROOM behind an error, or None: on a full disk libraries raise errors of their own beside it."""
    while error is not None and getattr(error, "errno", None) not in NO_ROOM:
        error = error.__cause__ or error.__context__
    return error


def _told(error, message):
    """An error of the same class and number that says no more than the message."""
    told = type(error)(message)
    told.errno = error.errno
    return told
