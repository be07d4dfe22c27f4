"""Threads that wait for work, and never for longer because of an interrupt.

Python's own pools wait with locks that are taken in Python code. An interrupt (Ctrl-C) in the middle of it leaves such
a lock taken for ever, or comes out as a RuntimeError. A queue and locks that are written in C are taken or not.
"""

import os
import queue
import threading
import weakref
from collections import deque
from itertools import islice


class Workers:
    """`count` threads, which end when the object is gone and the work done. begin(): called on each of them first."""

    def __init__(self, count, begin=lambda: None):
        self.queue = queue.SimpleQueue()
        weakref.finalize(self, _end, self.queue, count)
        for i in range(count):
            threading.Thread(target=_work, args=(self.queue, begin), name=f"minivit_{i}", daemon=True).start()

    def map(self, function, items):
        """[function(item) for item in items], each on one of the threads, once all have ended.

        An interrupt waits for those that have begun and drops the others; a second one, in that time, does not.
        """
        tasks = [_Task(function, item) for item in items]
        try:
            self._put(tasks)
            for task in tasks:
                task.wait()
        except BaseException:
            _drop(tasks, os.getpid())
            raise
        return _values(tasks)

    def imap(self, function, items, ahead):
        """Yields function(item) for each item, in their order. Up to `ahead` of them wait, run, or are done already.

        Where the caller stops, an error or interrupt comes, or the process ends, those that have begun are waited for
        and the others dropped.
        """
        items, begun = iter(items), deque()
        stop = weakref.finalize(self, _drop, begun, os.getpid())
        try:
            while True:
                tasks = [_Task(function, item) for item in islice(items, ahead - len(begun))]
                begun.extend(tasks)
                self._put(tasks)
                if not begun:
                    return
                begun[0].wait()
                yield _values([begun.popleft()])[0]
        finally:
            stop()

    def start(self, function, items):
        """Have function(item) done for each item. Returns a list for `results`."""
        tasks = [_Task(function, item) for item in items]
        self._put(tasks)
        return tasks

    def _put(self, tasks):
        for task in tasks:
            self.queue.put(task)


def results(tasks):
    """What started tasks returned, in their order, once all have ended: none still writes when an error goes up."""
    for task in tasks:
        task.wait()
    return _values(tasks)


def _drop(tasks, process):
    """Drop what has not begun, and wait for what has, unless this is a fork of `process`: the threads are not in it."""
    for task in [task for task in tasks if not task.claimed.acquire(blocking=False)]:
        if os.getpid() == process:
            task.wait()


def _values(tasks):
    error = next((task.error for task in tasks if task.error is not None), None)
    if error is None:
        return [task.value for task in tasks]
    tasks.clear()                                                        # to which the error's traceback leads
    try:
        raise error
    finally:
        del error


class _Task:
    """function(item). claimed: taken by a worker, or dropped. running: free once a worker is done with it."""

    __slots__ = ("claimed", "error", "function", "item", "running", "value")

    def __init__(self, function, item):
        self.function, self.item, self.value, self.error = function, item, None, None
        self.claimed, self.running = threading.Lock(), threading.Lock()
        self.running.acquire()

    def run(self):
        if self.claimed.acquire(blocking=False):
            running = self.running
            try:
                self.value = self.function(self.item)
            except BaseException as error:
                self.error = error
            finally:
                self.function = self.item = None                         # what the caller needs no more
                self = None                                              # an error's traceback leads here
                running.release()

    def wait(self):
        with self.running:
            pass


def _work(tasks, begin):
    begin()
    while (task := tasks.get()) is not None:
        task.run()
        del task                                                         # its value is not kept while waiting


def _end(tasks, count):
    for _ in range(count):
        tasks.put(None)
