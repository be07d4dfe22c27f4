"""One network in one library, in a process of its own, that works when asked: python -m benchmarks.worker.

A process each keeps the libraries' threads, memory and settings apart. Questions come as lines of JSON on stdin,
answers go to stdout (turns.py asks). The library is a module with a class Network:

    Network(path, config, images, threads)      reads the weights, a .safetensors file under timm's names
    library                     its name and version
    arranged(x, labels)         images (B, H, W, 3) and classes (B,) as the library wants them: not timed
    forward(*arranged)          logits (B, K), finished when it returns; None where there is nothing to compare
    training_step(*arranged)    forward, cross-entropy, backward, AdamW; libraries that only answer have none
    first_step(*arranged)       a training step, and {name: array} to compare with the other libraries'
"""

import importlib
import json
import math
import os
import sys
import time
from functools import partial

import numpy as np

from minivit.commands import machine
from minivit.config import ViTConfig

from . import memory
from .cases import FORWARD, fresh_batch

SHORTEST_TURN, MOST_CALLS, LONG = 0.03, 25, 1.0


class Worker:
    """Answers questions about one network."""

    def __init__(self, module, path, config, images, kind, threads):
        self.config, self.images, self.kind = config, images, kind
        self.new_network = partial(importlib.import_module(module).Network, path, config, images, threads)
        self.network = self.new_network()
        self.calls = 1

    def about(self):
        """What answers here."""
        return {"library": self.network.library, "blas": machine.blas()}

    def outputs(self, file, seed):
        """Writes what the network makes of a batch to an .npz file, for comparison. Tells the peak memory of it."""
        inputs = self.network.arranged(*self._batch(seed))
        peak, arrays = memory.peak_beyond(lambda: self._outputs_and_one_more(inputs))
        np.savez(file, **arrays)
        return {"peak_bytes": peak}

    def _outputs_and_one_more(self, inputs):
        if self.kind == FORWARD:
            logits = self.network.forward(*inputs)
            arrays = {} if logits is None else {"logits": np.array(logits)}
        else:
            arrays = self.network.first_step(*inputs) if hasattr(self.network, "first_step") else {}
        self._call(inputs)                                              # the second call's memory may be more
        return arrays

    def turn(self, seed):
        """Seconds of one call: of several in a row where one is short. Each has inputs of its own, made beforehand."""
        batches = [self.network.arranged(*self._batch([seed, i])) for i in range(self.calls)]
        started = time.perf_counter()
        for batch in batches:
            self._call(batch)
        seconds = (time.perf_counter() - started) / len(batches)
        return {"seconds": seconds}

    def warm_up(self, seed):
        """Calls that do not count, after those of `outputs`; the last tells how many make a turn of some length."""
        seconds = self.turn(seed)["seconds"]
        if seconds < LONG:
            seconds = self.turn(seed + 1)["seconds"]
        self.calls = max(1, min(MOST_CALLS, math.ceil(SHORTEST_TURN / seconds)))
        return {"calls": self.calls}

    def load(self):
        """Seconds of reading the weights into a network once more."""
        self.network = None
        started = time.perf_counter()
        self.network = self.new_network()
        return {"seconds": time.perf_counter() - started}

    def _batch(self, seed):
        return fresh_batch(self.config, self.images, np.random.default_rng(seed))

    def _call(self, batch):
        (self.network.forward if self.kind == FORWARD else self.network.training_step)(*batch)


def main():
    """Answer until stdin ends. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    details = json.loads(sys.argv[1])
    worker = Worker(**(details | {"config": ViTConfig(**details["config"])}))
    print(json.dumps(worker.about()), file=answers)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(getattr(worker, question.pop("do"))(**question)), file=answers)


if __name__ == "__main__":
    main()
