"""A library in a process of its own: worker.py at the other end of a pipe."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field

from minivit.commands.machine import cores, cores_apart


@dataclass(frozen=True)
class Contender:
    """A library to measure. module: of its Network class, see worker.py. environment: {variable: value or None}.

    needs: the packages without which there is nothing to measure.
    """

    name: str
    module: str
    environment: dict = field(default_factory=dict)
    needs: tuple = ()

    def missing(self):
        """The packages that it lacks here."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


class NotMeasured(RuntimeError):
    """Why a library has no figures here, in one line."""


class Process:
    """A worker process. Raises NotMeasured where it fails."""

    def __init__(self, contender, case, path, threads):
        self.contender = contender
        self.complaints = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        details = {"module": contender.module, "path": str(path), "config": asdict(case.config), "images": case.images,
                   "kind": case.kind, "threads": threads}
        with _on_cores(threads):
            self.process = subprocess.Popen([sys.executable, "-m", "benchmarks.worker", json.dumps(details)],
                                            env=environment(threads, contender.environment), stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=self.complaints, encoding="utf-8", bufsize=1)
        try:
            self.about = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, do, **details):
        """Have one of worker.Worker's methods called. Returns its answer."""
        with suppress(BrokenPipeError):                                 # `_answer` tells why it has gone
            self.process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        status = self.process.wait()
        self.complaints.seek(0)
        said = [line.strip() for line in self.complaints if line.strip()]
        raise NotMeasured(said[-1] if said else f"its process ended with status {status}")

    def close(self):
        """End the process."""
        with suppress(BrokenPipeError):                                 # it has gone already
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.complaints.close()


def environment(threads, changes):
    """This process's environment for a child: as many threads for every library, and the same modules to import."""
    count = str(threads)
    result = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": count,
              "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, **changes}
    return {name: value for name, value in result.items() if value is not None}


@contextmanager
def _on_cores(threads):
    """A process that is started within runs on that many processor cores only, where the system can be told so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = cores()
    os.sched_setaffinity(0, cores_apart()[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
