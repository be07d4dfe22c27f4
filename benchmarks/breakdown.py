"""Where minivit's time goes, on one core: matrix products, softmax, GELU, LayerNorm, the rest.

    python -m benchmarks.breakdown WEIGHTS IMAGES KIND ROUNDS        prints JSON; run.py calls it, with one thread

The weights and images are arrays of a class that computes as NumPy's own do and notes how long each operation took and
which of minivit's modules had asked for it. So the source measured is the source that runs.
"""

import json
import sys
import time
from collections import Counter

import numpy as np

from minivit.checkpoints.loading import load
from minivit.training.optimiser import AdamW
from minivit.trees import tree_map

from .cases import LEARNING_RATE, TRAINING, WEIGHT_DECAY, fresh_batch

LINEAR, PAIRS = "products of the linear maps", "products of attention"
OTHER, REST = "other arithmetic: biases, residuals, scales", "copies, new arrays, Python"
PARTS = {"softmax": "softmax", "gelu": "GELU", "erf": "GELU", "layer_norm": "LayerNorm", "optimiser": "AdamW"}
ORDER = (LINEAR, PAIRS, "softmax", "GELU", "LayerNorm", "AdamW", OTHER, REST)
PASSED_ON = ("numpy", "minivit.engine.tiles", "minivit.engine.threads", "minivit.trees")

seconds_of = Counter()


class TimedArray(np.ndarray):
    """A NumPy array that notes how long its operations take."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        inputs = [_plain(array) for array in inputs]
        if out is not None:
            options["out"] = tuple(map(_plain, out))
        started = time.perf_counter()
        result = getattr(ufunc, method)(*inputs, **options)
        seconds_of[_part(ufunc.__name__)] += time.perf_counter() - started
        if out is not None:
            return out[0]
        return result.view(TimedArray) if isinstance(result, np.ndarray) else result


def _plain(array):
    return array.view(np.ndarray) if isinstance(array, TimedArray) else array


def _part(operation):
    """The table's row of an operation, from its name and from the module that asked for it."""
    frame = sys._getframe(2)
    while frame and frame.f_globals["__name__"].startswith(PASSED_ON):
        frame = frame.f_back
    section = frame.f_globals["__name__"].split(".")[-1] if frame else ""
    if operation == "matmul":
        return PAIRS if section == "attention" else LINEAR
    return PARTS.get(section, OTHER)


def breakdown(weights, images, kind, rounds):
    """{part: seconds of one call}, medians over some rounds, after one that does not count."""
    plain = load(weights)
    model = plain.with_params(tree_map(lambda array: array.view(TimedArray), plain.params))
    optimiser = AdamW.for_params(model.params)
    samples = []
    for number in range(rounds + 1):
        x, labels = fresh_batch(model.config, images, np.random.default_rng(number))
        seconds_of.clear()
        started = time.perf_counter()
        if kind == TRAINING:
            _, grads = model.loss_and_gradients(x.view(TimedArray), labels)
            optimiser.step(model.params, grads, LEARNING_RATE, WEIGHT_DECAY)
        else:
            model(x.view(TimedArray))
        whole = time.perf_counter() - started
        samples.append({**seconds_of, REST: whole - sum(seconds_of.values())})
    parts = [part for part in ORDER if any(part in sample for sample in samples)]
    return {part: float(np.median([sample.get(part, 0.0) for sample in samples[1:]])) for part in parts}


if __name__ == "__main__":
    weights, images, kind, rounds = sys.argv[1:]
    print(json.dumps(breakdown(weights, int(images), kind, int(rounds))))
