"""The batches of a run, augmented and in order, by this process or by others that work ahead while a step runs.

A batch is decided by the seed, the epoch and its place in it. So it does not matter who prepares it, or when: a run
ends with the same weights with any number of workers.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice

import numpy as np

from .augmentation import augmented

AHEAD = 2                                                    # batches under way for each worker


@contextmanager
def prepared(batches, data, num_classes, recipe, workers):
    """An iterator over ((epoch, i), labels (B,), *augmented, rng), in the order of `batches`.

    augmented: what augmentation.augmented returns. batches: an iterable of (epoch, i, places of the images (B,)). rng:
    the batch's own, after what augmentation drew.
    workers: how many processes prepare them, 0 for none but this one. Raises RuntimeError where a worker was killed.
    """
    jobs = ((epoch, i, data.images[places], data.labels[places], num_classes, recipe) for epoch, i, places in batches)
    if not workers:
        yield (batch(*job) for job in jobs)
        return
    # A fork would take CUDA's state and the threads' locks along; a new process has none of them.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin)
    try:
        yield in_order(pool, jobs, AHEAD * workers)
    except BrokenProcessPool:
        raise RuntimeError(f"one of the {workers} workers that prepare batches was killed, perhaps for want of "
                           "memory: give fewer") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin():
    """Called in each worker first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)                         # Ctrl-C is for the parent to hear
    # A killed parent tells nobody: a worker holds both ends of its queue, and would wait for a job for ever.
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent):
    parent.join()
    os._exit(1)


def in_order(pool, jobs, ahead):
    """The batches of the jobs, in their order, `ahead` of them under way."""
    under_way = deque(pool.submit(batch, *job) for job in islice(jobs, ahead))
    while under_way:
        ready = under_way.popleft().result()
        under_way.extend(pool.submit(batch, *job) for job in islice(jobs, 1))
        yield ready


def batch(epoch, i, images, labels, num_classes, recipe):
    """One batch. images: uint8 (B, H, W, 3). labels: (B,). Returns what `prepared` iterates over."""
    rng = np.random.default_rng([recipe.seed, epoch, i])
    return (epoch, i), labels, *augmented(images, labels, num_classes, recipe, rng), rng
