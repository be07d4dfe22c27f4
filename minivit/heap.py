"""Freed memory: how much of it the C library keeps for the next array, and how much goes back to the system.

glibc, Linux's C library, gives back what is free at the end of a heap beyond a limit, which follows the largest array
that it has seen freed. With a small network the limit is low, and every layer pays page faults for memory that the one
before it gave back. With a large one it is high, and each thread, having heaps of its own, keeps tens of megabytes that
another thread needs. A fixed limit serves both.
"""

import ctypes
import os
import sys

KEPT = 32 << 20                                        # bytes at a heap's end; larger arrays never come from a heap
TRIM_THRESHOLD = 128 << 10                             # what is free beyond KEPT goes back once it is as much as this
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3                                       # from malloc.h


def limit():
    """Tell glibc, for the whole process. Returns whether it was told: not where there is none, or the user decides.

    The user does by any of glibc's environment variables, such as MALLOC_TOP_PAD_, or glibc.malloc in GLIBC_TUNABLES.
    """
    users = any(name.startswith("MALLOC_") for name in os.environ)
    if sys.platform != "linux" or users or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    values = {M_MMAP_THRESHOLD: KEPT, M_TOP_PAD: KEPT, M_TRIM_THRESHOLD: TRIM_THRESHOLD}
    return mallopt is not None and all([mallopt(name, value) for name, value in values.items()])
