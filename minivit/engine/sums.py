"""The sum of what several threads compute, gradients above all, without a second copy of it in memory for long."""

import itertools
import operator
import threading

from ..trees import tree_map
from . import threads


def total(function, items):
    """The sum of function(item, parts), a tree of arrays, over the items; each thread takes a share of them in turn.

    function may hand over parts of its tree early, as parts[key] = part; they come back summed as {key: part}, the
    second result. The thread that brings the last summand of a part adds all threads' up, in the threads' order: the
    parts of two threads then exist side by side only for a moment, and the sum does not depend on who was first. The
    threads take turns in whose arrays hold the sum: freed memory goes back to the heap of the thread that had made it.
    """
    shares = threads.slices(len(items), min(len(items), threads.thread_count()))
    sums = _Sums(len(shares))

    def of_share(thread):
        rest, parts = None, _Parts(thread, sums)
        for i in range(shares[thread].start, shares[thread].stop):
            parts.complete = i == shares[thread].stop - 1
            result = function(items[i], parts)
            rest = result if rest is None else _added(rest, result)
        return rest

    return _added(*threads.each(of_share, range(len(shares)))), sums.whole


class _Sums:
    """The sums over all threads: summands, {key: {thread: part}}, until the last is there; then whole, {key: part}."""

    def __init__(self, threads):
        self.threads, self.summands, self.whole = threads, {}, {}
        self.lock, self.turns = threading.Lock(), itertools.cycle(range(threads))

    def add(self, key, thread, part):
        with self.lock:
            summands = self.summands.setdefault(key, {})
            summands[thread] = part
            into = next(self.turns) if len(summands) == self.threads else None
        if into is not None:
            self.whole[key] = _added(*(summands.pop(i) for i in range(self.threads)), into=into)


class _Parts:
    """One thread's sums, as parts[key] = part adds them up. complete: whether these are its last summands."""

    def __init__(self, thread, sums):
        self.thread, self.sums, self.own, self.complete = thread, sums, {}, False

    def __setitem__(self, key, part):
        self.own[key] = _added(self.own[key], part) if key in self.own else part
        if self.complete:
            self.sums.add(key, self.thread, self.own.pop(key))


def _added(*summands, into=0):
    """Their sum, in their order, in the arrays of the summand `into`."""
    result = summands[0]
    for i, summand in enumerate(summands[1:], start=1):
        result = tree_map(operator.iadd, *((summand, result) if i == into else (result, summand)))
    return result
