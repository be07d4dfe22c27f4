"""How long a program takes from its start to its end: seconds of whole processes, in turns."""

import subprocess
import sys
import time

from .process import environment
from .turns import PAUSE

PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    "import minivit": ["-c", "import minivit"],
    "import minivit, numpy": ["-c", "import minivit, numpy"],
    "import minivit, first forward pass": ["-c", "import minivit; minivit.forward(minivit.samples.CAT)"],
    "minivit predict --sample": ["-m", "minivit", "predict", "--sample"],
    "import torch": ["-c", "import torch"],
    "import onnxruntime": ["-c", "import onnxruntime"],
}


def start_up(threads, rounds, say=lambda text: None):
    """{program: samples, in seconds}. Programs that fail, such as those that import what is missing, are left out."""
    samples = {name: [] for name, arguments in PROGRAMS.items() if _run(arguments, threads) is not None}
    for number in range(rounds):
        say(f"start-up: round {number + 1} of {rounds}")
        for name, seconds in samples.items():
            time.sleep(PAUSE)
            seconds.append(_run(PROGRAMS[name], threads))
    return samples


def _run(arguments, threads):
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], env=environment(threads, {}), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    return time.perf_counter() - started if done.returncode == 0 else None
