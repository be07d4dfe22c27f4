"""Freed memory: how much of it the C library keeps for the next array, and how much goes back to the system.

glibc, Linux's C library, gives back what is free at the end of a heap once it is more than a limit, which follows the
largest of the separately mapped arrays that it has seen freed. With a small network the limit is low, and every layer
pays page faults for memory that the one before it gave back. With a large one it is high, and each thread, having heaps
of its own, keeps there tens of megabytes that another thread needs. A fixed limit serves both.
"""

import ctypes
import os
import sys
from functools import cache

KEPT = 32 << 20                                        # bytes free at a heap's end; larger arrays are mapped
SLACK = 1 << 20                                        # what is free beyond KEPT goes back once it is as much as this
DASKS = ("MALLOC_TRIM_THRESHOLD_", "65536")           # in the environment of dask.distributed's workers, unasked
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3                                       # from malloc.h


@cache
def limit():
    """Tell glibc, for the whole process. Returns whether it was told: not where there is none, or the user decides.

    The user does by any of glibc's environment variables, such as MALLOC_TOP_PAD_, or glibc.malloc in GLIBC_TUNABLES.
    """
    users = any(name.startswith("MALLOC_") and (name, value) != DASKS for name, value in os.environ.items())
    if sys.platform != "linux" or users or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    values = {M_MMAP_THRESHOLD: KEPT, M_TOP_PAD: KEPT, M_TRIM_THRESHOLD: KEPT + SLACK}
    return mallopt is not None and all([mallopt(name, value) for name, value in values.items()])
