"""All batches on this machine: each core decodes and computes a batch of its own, so that none waits for another."""

import os
import threading

from ..engine import heap
from ..engine.blas_threads import thread_count
from ..engine.workers import Workers
from .rows import rows_of

WAITING = 4                                              # batches on their way for each thread, rows of done ones too


def work(batches, model, wanted):
    """Yields the rows of each batch, a list of Row, in the batches' order.

    On a GPU one batch is computed at a time, while threads decode the others.
    """
    heap.limit()
    threads = thread_count() if model.device == "cpu" else os.cpu_count() or 1
    turn = None if model.device == "cpu" else threading.Lock()           # a GPU has one queue

    def rows(batch):
        return rows_of(batch, model, wanted, turn)

    if threads == 1:                                     # as in a browser's Python, which has no others
        return map(rows, batches)
    return Workers(threads).imap(rows, batches, WAITING * threads)
