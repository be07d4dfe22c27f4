"""How much memory there is: what cannot fit is refused before it begins, not killed by the system half-way."""

import ctypes
import os
import sys
from pathlib import Path

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")     # "max", or bytes


def check_fits(needed, what):
    """Raises MemoryError where `what`, which takes `needed` bytes, is more than this machine or container has."""
    present = total()
    if needed > present:
        raise MemoryError(f"{what} would take {needed / 1e9:,.1f} GB, and there are {present / 1e9:,.1f} GB of memory: "
                          "choose a smaller image size, a smaller model or fewer images")


def total():
    """Bytes of memory of this machine, or of the container that the process runs in; infinite where nothing tells."""
    limits = [_of_machine()]
    try:
        limits.append(int(CONTAINER_LIMIT.read_text("ascii")))
    except (OSError, ValueError):
        pass
    return min(limits)


def _of_machine():
    if sys.platform == "win32":
        status = (ctypes.c_uint64 * 8)()                # MEMORYSTATUSEX: two 32-bit numbers, then seven of 64 bits
        ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
        return status[1] if ctypes.windll.kernel32.GlobalMemoryStatusEx(status) else float("inf")
    try:
        pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")
    return pages * page_size if pages > 0 and page_size > 0 else float("inf")       # WebAssembly says -1: unknown
