"""How much memory a call needs: the peak of the process's resident size, less the resident size before.

What libraries allocate for themselves is in it, as are threads' stacks and buffers kept for later: all that the
operating system must find room for. Linux tells, and forgets the peak so far when asked; elsewhere the answer is None.
"""

from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_beyond(function):
    """(bytes at the peak of function() beyond what was resident before, or None; what function returned)."""
    before = _forget_peak()
    result = function()
    return None if before is None else max(0, _resident("VmHWM") - before), result


def resident_bytes():
    """The process's resident size in bytes, or None where the system does not tell."""
    try:
        return _resident("VmRSS")
    except OSError:
        return None


def _forget_peak():
    """The resident size, its recorded peak reset to it; None where that cannot be done."""
    try:
        CLEAR.write_text("5", "utf-8")
        return _resident("VmRSS")
    except OSError:
        return None


def _resident(key):
    fields = dict(line.split(":", 1) for line in STATUS.read_text("utf-8").splitlines() if ":" in line)
    return 1024 * int(fields[key].split()[0])                           # the file says kB and means 1024 bytes
