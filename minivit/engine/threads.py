"""All cores busy, by threads that each have a one-thread BLAS of their own.

Images do not meet inside the network, so a batch is cut into chunks of images, and one thread takes a chunk through all
steps, the elementwise ones too, which BLAS alone would leave to one core. Where there is but one image, its steps are
shared instead: columns of a product, rows of an elementwise step, heads of attention. Results differ by rounding only.
"""

import os
import threading
from contextlib import contextmanager
from functools import lru_cache

import numpy as np

from . import heap
from .blas_threads import begin_worker, one_thread_blas, thread_count
from .workers import Workers, results

IMAGES_PER_CHUNK = 16
SMALLEST_SHARED = 1 << 17                            # numbers to work on, each a nanosecond or two
PRODUCTS_A_NUMBER = 128                              # multiply-adds that BLAS does in that time


def chunks(x):
    """Slices that cut the batch x into chunks of at most IMAGES_PER_CHUNK images, as many for each thread.

    On a GPU, one.
    """
    if not isinstance(x, np.ndarray):
        return [slice(0, len(x))]
    threads = thread_count()
    return slices(len(x), min(len(x), threads * -(-len(x) // (threads * IMAGES_PER_CHUNK))))


def each(function, items):
    """[function(item) for item in items], on as many threads as BLAS would use, in the items' order.

    A single item runs on this thread, and `spread` inside it spreads its steps. On a thread that is itself one of the
    pool's, all items run there: waiting for the pool from within could take for ever.
    """
    heap.limit()                                                         # each thread has heaps of its own
    threads = thread_count()
    limit = one_thread_blas()
    try:
        with limit:
            if threads == 1 or getattr(_thread, "in_pool", False):
                return [function(item) for item in items]
            if len(items) == 1:
                with _sharing(threads):
                    return [function(items[0])]
            return _pool(threads).map(_limited(function), items)
    finally:
        limit.leave()                                                    # an interrupt may have come before __exit__


def _limited(function):
    """function with a limit of its own on BLAS: a caller who is interrupted may leave before its end."""
    def of_item(item):
        with one_thread_blas():
            return function(item)

    return of_item


def spread(function, count, like, work=None):
    """[function(slice), …] for slices that cover range(count): one a thread where `each` has but one item, else one.

    like: one of the arrays worked on. work: how many numbers that takes, its size by default. A GPU's work stays whole,
    and so does little work: a second thread would take longer to wake than to help.
    """
    threads = min(count, getattr(_thread, "may_use", 1))
    if threads <= 1 or (work or like.size) < SMALLEST_SHARED or not isinstance(like, np.ndarray):
        return [function(slice(0, count))]
    here, *elsewhere = slices(count, threads)
    tasks = _pool(threads).start(function, elsewhere)
    try:
        with _sharing(1):
            result = function(here)
    finally:
        others = results(tasks)
    return [result, *others]


def product(a, b, bias=None):
    """a @ b, plus the row bias (n,) where one is given. a: (m, k). b: (k, n). Returns (m, n), C-contiguous.

    Threads with nothing else to do share the columns of the result.
    """
    y = np.empty_like(a, shape=(len(a), b.shape[1]), order="C")

    def columns(part):
        np.matmul(a, b[:, part], out=y[:, part])
        if bias is not None:
            y[:, part] += bias[part]

    spread(columns, b.shape[1], b, len(a) * b.size // PRODUCTS_A_NUMBER)
    return y


_thread = threading.local()                                 # may_use: threads to share work with; in_pool: it is one


@contextmanager
def _sharing(threads):
    before = getattr(_thread, "may_use", 1)
    _thread.may_use = threads
    try:
        yield
    finally:
        _thread.may_use = before


def slices(count, parts):
    """Slices that cut range(count) into as many parts, as equal as can be."""
    return [slice(count * i // parts, count * (i + 1) // parts) for i in range(parts)]


@lru_cache(maxsize=4)                                        # one of another size ends with its last user
def _pool(threads):
    return Workers(threads, _begin)


def _begin():
    _thread.in_pool = True
    begin_worker()


if hasattr(os, "register_at_fork"):                          # not on Windows, nor in a browser
    os.register_at_fork(after_in_child=_pool.cache_clear)                # the parent's threads do not exist there
