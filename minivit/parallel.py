"""Both cores busy: the images of a batch are spread over threads, each with a one-thread BLAS of its own.

Images do not meet inside the network, so a batch is cut into runs of images. One thread a run keeps all steps on its
core, the elementwise ones too, which BLAS alone would leave to one core. Results differ only by rounding.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import threadpoolctl


def split(x, most=None):
    """Slices that cut the batch x into one run a thread, or into runs of at most `most` images; one on a GPU."""
    if not isinstance(x, np.ndarray):
        return [slice(0, len(x))]
    count = min(len(x), max(thread_count(), -(-len(x) // most) if most else 1))
    return [slice(len(x) * i // count, len(x) * (i + 1) // count) for i in range(count)]


def each(function, items):
    """[function(item) for item in items], on as many threads as BLAS would use, in the items' order."""
    if len(items) == 1:
        return [function(items[0])]
    workers = thread_count()
    with blas().limit(limits=1):
        return list(_pool(workers).map(function, items))


def thread_count():
    """How many threads BLAS uses: set OPENBLAS_NUM_THREADS, or threadpoolctl's limits, and minivit follows."""
    return max((library["num_threads"] for library in blas().info()), default=1)


@cache
def blas():
    """threadpoolctl's handle on the BLAS that NumPy uses."""
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


@cache
def _pool(workers):
    return ThreadPoolExecutor(workers, thread_name_prefix="minivit")
