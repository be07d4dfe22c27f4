"""All batches on this machine: each core decodes and computes a batch of its own, so that none waits for another."""

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from ..engine import heap
from ..engine.blas_threads import thread_count
from .rows import rows_of

WAITING = 4                                              # batches on their way for each thread, rows of done ones too


def work(batches, model, wanted):
    """Yields the rows of each batch, a list of Row, in the batches' order.

    On a GPU one batch is computed at a time, while threads decode the others.
    """
    heap.limit()
    threads = thread_count() if model.device == "cpu" else os.cpu_count() or 1
    turn = None if model.device == "cpu" else threading.Lock()           # a GPU has one queue
    batches = iter(batches)
    if threads == 1:                                     # as in a browser's Python, which has no others
        yield from (rows_of(batch, model, wanted) for batch in batches)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="minivit-many") as pool:
        running = deque()
        try:
            while True:
                for batch in islice(batches, WAITING * threads - len(running)):
                    running.append(pool.submit(rows_of, batch, model, wanted, turn))
                if not running:
                    return
                yield running.popleft().result()
        finally:
            for task in running:                         # where the caller stops, or an error came: nothing is begun
                task.cancel()

