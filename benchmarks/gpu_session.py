"""A GPU for a quarter of an hour: its tests, its table and a training run, unattended, each with its own clock.

    python benchmarks/gpu_session.py --out FOLDER --images FILE [--minutes 12]

Tests: `pytest -m gpu`, 3 minutes at most. Table: benchmarks/gpu.py, in float32 and with TF32, and where a training
step's time goes, 2 minutes. Training: benchmarks/gpu_train.py, the rest. Each part is a process of its own; whether it
fails, is stopped by its clock or ends, the next one begins. What a part finds is in FOLDER/session.json as soon as it
says so, and all that it prints in FOLDER/session.log; FOLDER/train is the run's folder, and the same command goes on
with it. `make gpu-rehearsal` does all of this without a GPU, on the tests' stand-in for CuPy.

A part reports by printing "RESULT " and a JSON object. CuPy must be there; PyTorch, timm or torchvision are wanted for
the table; of minivit's own packages, matplotlib and threadpoolctl may be missing.
"""

import argparse
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = "RESULT "
TEST = re.compile(r"^(?P<test>tests/\S+?::.+?) (?P<outcome>PASSED|FAILED|ERROR|SKIPPED|XFAIL)\b")
GRACE = 8                                                    # seconds to stop in, of a part's own time


@dataclass
class Part:
    """name; command: after the Python interpreter; seconds: its clock; environment: what it needs beside ours.

    enough: its clock also runs out with this many results, so that a rehearsal stops it midway on any machine.
    """

    name: str
    command: list
    seconds: float
    environment: dict = field(default_factory=dict)
    enough: int | None = None


def main():
    """Run the parts, one after another. The exit status is 0 where each ended by itself or by its clock."""
    options = parsed()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    ended = time.monotonic() + 60 * options.minutes
    options.out.mkdir(parents=True, exist_ok=True)
    session = Session(options.out)
    for make in (tests, table, table_in_tf32, training):
        if make.__name__.partition("_")[0] in options.parts:
            session.run(make(options, max(0, ended - time.monotonic())))
    if options.pieces:
        cut(options.out / "train" / "state.safetensors", options.pieces * 10 ** 6)
    print(f"{session.path}: " + ", ".join(f"{p['name']} {p['end']}" for p in session.parts))
    return int(any(p["end"] not in ("ended", "clock") for p in session.parts))


def parsed():
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=os.environ.get("OUT", "runs/gpu"), metavar="FOLDER")
    parser.add_argument("--images", default="runs/images.tar.gz", help="training images (%(default)s)")
    parser.add_argument("--minutes", type=float, default=12, help="all of it (%(default)s)")
    parser.add_argument("--parts", nargs="+", default=["tests", "table", "training"],
                        choices=("tests", "table", "training"), metavar="PART", help="of: %(default)s")
    parser.add_argument("--pieces", type=float, metavar="MB", help="cut the run's state into files of this size")
    parser.add_argument("--workers", type=int, default=max(0, (os.cpu_count() or 1) - 2), metavar="N",
                        help="processes that prepare batches (%(default)s)")
    parser.add_argument("--speeds", type=float, nargs=2, metavar="IMAGES",
                        help="a second, of the training run's first steps and last, if known")
    parser.add_argument("--rehearsal", action="store_true", help="on the tests' stand-in, tiny, stopped midway")
    parser.add_argument("--to-the-end", action="store_true", help="a rehearsal that stops nothing midway")
    options = parser.parse_args()
    options.midway = options.rehearsal and not options.to_the_end
    options.out = Path(options.out)
    return options


def tests(options, seconds):
    """The tests marked gpu."""
    return Part("tests", module(options, "pytest", "-v", "-m", "gpu", "-p", "no:cacheprovider", "-p", "no:xdist",
                                "--tb=short", "--durations=0", "tests/gpu"),
                clock(options, 180, seconds), enough=2 if options.midway else None)


def table(options, seconds):
    """The table in float32, and the profile of a step."""
    tiny = ["--tiny", "--batch", "2", "--rounds", "1"] if options.rehearsal else []
    return Part("table", module(options, "benchmarks.gpu", "--results", *tiny), clock(options, 75, seconds),
                enough=3 if options.midway else None)


def table_in_tf32(options, seconds):
    """The table with TF32 on both sides."""
    part = table(options, seconds)
    return Part("table, TF32", part.command, clock(options, 45, seconds), {"CUPY_TF32": "1"}, part.enough)


def training(options, seconds):
    """A training run, sized to end before the clock does."""
    tiny = ["--tiny"] if options.rehearsal else []
    known = ["--speeds", *map(str, options.speeds)] if options.speeds else []
    command = module(options, "benchmarks.gpu_train", options.images, "--out", str(options.out / "train"),
                     "--seconds", f"{seconds - GRACE:.0f}", "--workers", str(options.workers), *known, *tiny)
    return Part("training", command, seconds, {"CUPY_TF32": "1"}, 5 if options.midway else None)


def clock(options, most, seconds):
    """A part's seconds: `most` of those left, but all of them in a rehearsal, which counts results instead."""
    return seconds if options.rehearsal else min(most, seconds)


def module(options, name, *arguments):
    """A command that runs a Python module, in a rehearsal with the stand-in in CuPy's place."""
    return ["-m", *(["tests.on_stand_in"] if options.rehearsal else []), name, *arguments]


class Session:
    """What was found so far, on disk at every moment. parts: one a dict, as in session.json."""

    def __init__(self, out):
        self.path, self.log = out / "session.json", out / "session.log"
        self.parts = json.loads(self.path.read_text())["parts"] if self.path.exists() else []
        self.lock = threading.Lock()

    def run(self, part):
        """Run one part to its end or its clock's. Whatever goes wrong is noted, and nothing is raised."""
        found = {"name": part.name, "began": datetime.now(timezone.utc).isoformat(timespec="seconds"), "end": "running",
                 "allowed_seconds": round(part.seconds), "command": " ".join(["python", *part.command]), "results": []}
        self.parts.append(found)
        started = time.monotonic()
        try:
            found["end"] = self._watched(part, found) if part.seconds > 2 * GRACE else "no time left"
        except Exception as error:
            found["end"] = f"could not run: {error!r}"
        found["seconds"] = round(time.monotonic() - started, 1)
        self.save()

    def _watched(self, part, found):
        process = subprocess.Popen([sys.executable, *part.command], cwd=ROOT, text=True, errors="replace",
                                   env={**environment(), **part.environment}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        enough = threading.Event()
        reader = threading.Thread(target=self._read, args=(process, part, found, enough), daemon=True)
        reader.start()
        deadline = time.monotonic() + part.seconds - GRACE
        try:
            while process.poll() is None and time.monotonic() < deadline and not enough.is_set():
                time.sleep(0.05)
            by_clock = process.poll() is None
        finally:                                             # whatever ends this process ends the part with it
            if process.poll() is None:
                stop(process)
        reader.join(2)                                       # a grandchild may hold the pipe open: it is not waited for
        if by_clock:
            return "clock"
        return "ended" if process.returncode == 0 else f"failed with status {process.returncode}"

    def _read(self, process, part, found, enough):
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"\n==== {part.name}: {found['command']}\n")
            for line in process.stdout:
                log.write(f"{datetime.now(timezone.utc):%H:%M:%S} {line}")
                log.flush()
                result = of_line(line)
                if result is not None:
                    found["results"].append(result)
                    self.save()
                if part.enough and len(found["results"]) >= part.enough:
                    enough.set()

    def save(self):
        """session.json anew; a reader never sees half of it."""
        with self.lock:
            temporary = self.path.with_suffix(".part")
            temporary.write_text(json.dumps({"parts": self.parts}, indent=1) + "\n")
            os.replace(temporary, self.path)


def of_line(line):
    """The result that a line of output tells, or None."""
    if line.startswith(RESULT):
        try:
            return json.loads(line.removeprefix(RESULT))
        except ValueError:
            return {"unreadable": line.strip()}
    match = TEST.match(line)
    return match.groupdict() if match else None


def environment():
    """The parts' environment: this checkout first, then a stand-in for threadpoolctl where there is none."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    if importlib.util.find_spec("threadpoolctl") is None:
        paths.append(str(ROOT / "benchmarks" / "without"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p), "PYTHONUNBUFFERED": "1",
            "TQDM_DISABLE": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def stop(process):
    """Ctrl-C, so that tests sum up and a run cleans up; after half the grace, an end to the whole group."""
    for number, patience in ((signal.SIGINT, GRACE / 2), (signal.SIGKILL, GRACE / 2)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
        if number == signal.SIGINT:
            time.sleep(0.2)                                  # for what its children still print


def cut(path, size):
    """A file in pieces of `size` bytes, path.0, path.1, …, in its place: `cat path.* > path` makes it whole again."""
    size = int(size)
    if not path.exists() or path.stat().st_size <= size:
        return
    with open(path, "rb") as file:
        for number, piece in enumerate(iter(lambda: file.read(size), b"")):
            path.with_name(f"{path.name}.{number}").write_bytes(piece)
    path.unlink()


if __name__ == "__main__":
    sys.exit(main())
