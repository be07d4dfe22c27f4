"""Libraries side by side: each in a process of its own, one call each in turns, so that what slows the machine down
slows all of them. Outputs are compared before anything is timed.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from .process import NotMeasured, Process

PAUSE = 0.05                                    # seconds before a turn, for other libraries' waiting threads to sleep
LARGEST_ERROR = 1e-3


def measure(case, path, contenders, threads, rounds, say=lambda text: None, loading=False):
    """Measure a case. path: its weights. Returns {contender's name: result}, results as JSON-ready values:

    seconds: `rounds` samples; errors: {output: relative error against the first contender that has one};
    peak_bytes; library; blas; calls: in a row a turn. Or why: the reason for no figures, such as outputs that differ.
    loading: time reading the weights instead of what the case says.
    """
    results, processes = {}, {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            reference = {}
            for contender in contenders:
                say(f"{case.title}: {contender.name} starts")
                try:
                    process = processes[contender.name] = Process(contender, case, path, threads)
                    result = _checked(process, Path(folder, "outputs.npz"), reference)
                    results[contender.name] = result | process.ask("warm_up", seed=1000) | {"seconds": []}
                except NotMeasured as reason:
                    results[contender.name] = {"why": str(reason)}
        for number in range(rounds):
            say(f"{case.title}: round {number + 1} of {rounds}")
            for name, process in _rotated(processes, number):
                if "why" in results[name]:
                    continue
                time.sleep(PAUSE)
                try:
                    answer = process.ask("load") if loading else process.ask("turn", seed=number)
                    results[name]["seconds"].append(answer["seconds"])
                except NotMeasured as reason:
                    results[name] = {"why": str(reason)}
    finally:
        for process in processes.values():
            process.close()
    return results


def _checked(process, file, reference):
    """A result's first entries, the outputs having been compared. Raises NotMeasured where they differ."""
    result = process.about | process.ask("outputs", file=str(file), seed=0)
    with np.load(file) as outputs:
        errors = {name: relative_error(outputs[name], reference[name]) for name in outputs if name in reference}
        for name in outputs:
            reference.setdefault(name, outputs[name])
    for name, error in errors.items():
        if not error <= LARGEST_ERROR:
            raise NotMeasured(f"its {name} differ by {error:.1e} of their norm: not the same network")
    return result | {"errors": errors}


def relative_error(a, b):
    """‖a − b‖ / ‖b‖."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def _rotated(processes, number):
    """The processes, another first each round: none always follows the same neighbour."""
    items = list(processes.items())
    start = number % max(1, len(items))
    return items[start:] + items[:start]
