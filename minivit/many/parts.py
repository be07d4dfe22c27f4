"""A long run's rows on disk: parts that appear whole, in a folder beside the output, joined when all are there.

Parts have the same number of rows each, but the last, and their names say which images: so a run that was stopped goes
on after the last part, and one whose images or settings have changed since is told.
"""

import hashlib
import json
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import numpy as np

from ..checkpoints.atomic import check_writable, replacing
from ..checkpoints.native import describe
from ..counting import macs
from ..training import lock
from . import formats

ROWS = 1024                                              # of a part, at most
PART_MACS = 4_000_000_000_000                            # multiply-adds of a part, at most: a minute on one core
PLAN = "plan.json"
REPLACES = "may replace the output"
ANEW = "overwrite=True (on the command line --overwrite) begins anew"


class Parts:
    """The parts of one output. about: what must be as it was for a run to go on, JSON-ready. rows: of a part."""

    def __init__(self, output, about, rows):
        self.output, self.about, self.rows = Path(output), about, rows
        self.folder = self.output.with_name(self.output.name + ".parts")

    @contextmanager
    def begun(self, resume=False, overwrite=False):
        """Inside the block this process alone writes parts, and those of an earlier run are there, or gone.

        Raises ValueError where there is something that nobody said what to do with.
        """
        if resume and overwrite:
            raise ValueError(f"resume=True (on the command line --resume) goes on with a run, and {ANEW}: give one of "
                             "them")
        if self.output.is_dir():
            raise IsADirectoryError(f"cannot write {self.output}: it is a folder; give a file's name")
        before = self._plan() if resume else {}
        replaces = overwrite or before.get(REPLACES, False)
        if self.output.exists() and not replaces:
            raise FileExistsError(f"{self.output} exists: {ANEW}")
        if self.folder.exists() and not (resume or overwrite):
            raise FileExistsError(f"{self.folder} holds the parts of a run that was stopped: resume=True (on the "
                                  f"command line --resume) goes on with it, {ANEW}")
        check_writable(self.output)
        self.folder.mkdir(exist_ok=True)
        try:
            with lock.held(self.folder):
                if overwrite:
                    for part in self._written().values():
                        part.unlink()
                with replacing(self.folder / PLAN) as temporary:
                    temporary.write_text(json.dumps({**self.about, REPLACES: replaces}, indent=1), encoding="utf-8")
                yield
        finally:
            if not self._written() and not (self.folder / lock.FILE).exists():
                for own in (self.folder / PLAN, *self.folder.glob(".*.part*")):
                    own.unlink(missing_ok=True)
                with suppress(OSError):                  # it holds what is not ours
                    self.folder.rmdir()

    def _plan(self):
        """The plan of a run that was stopped, {} where there is none. Raises ValueError for another run's."""
        try:
            before = json.loads((self.folder / PLAN).read_text("utf-8"))
            changed = [name for name in self.about if before.get(name) != self.about[name]]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError):
            raise ValueError(f"{self.folder / PLAN} is damaged: {ANEW}") from None
        if changed:
            raise ValueError(f"the run in {self.folder} had another {' and another '.join(changed)}: give what it had; "
                             f"{ANEW}")
        return before

    def _written(self):
        """{number: file} of the parts that are there."""
        ending = self.output.suffix
        found = {}
        for path in self.folder.glob(f"*-*-*-*{ending}"):
            number = path.name.partition("-")[0]
            if number.isdigit():                         # else it is one that was not finished
                found[int(number)] = path
        return found

    def missing(self, places):
        """Yields (number, the Places of a part) of each part that is not there. Raises ValueError for other images."""
        written, places, number = self._written(), iter(places), 0
        while group := list(islice(places, self.rows)):
            if number not in written:
                yield number, group
            elif _digest_in(written[number]) != _digest([place.name for place in group]):
                raise ValueError(f"the images are not those that the run in {self.folder} had: {ANEW}")
            number += 1
        if any(number <= other for other in written):
            raise ValueError(f"there were more images when the run in {self.folder} began: {ANEW}")

    def write(self, number, rows, wanted, model):
        """Write a part, which appears whole. Its name tells its number, its rows, its errors, and of which images."""
        errors = sum(row.error is not None for row in rows)
        name = f"{number:06d}-{len(rows)}-{errors}-{_digest([row.path for row in rows])}{self.output.suffix}"
        with replacing(self.folder / name) as temporary:
            formats.write_part(temporary, formats.format_of(self.output), rows, wanted, model)

    def join(self, wanted, model):
        """Make the output of all parts, and remove them. Returns how many images it has, and how many errors."""
        written = self._written()
        with replacing(self.output) as temporary:
            formats.join(temporary, formats.format_of(self.output), [written[n] for n in sorted(written)], wanted,
                         model)
        for part in written.values():
            part.unlink()
        (self.folder / PLAN).unlink()
        counts = [part.stem.split("-")[1:3] for part in written.values()]
        return sum(int(rows) for rows, _ in counts), sum(int(errors) for _, errors in counts)


def _digest(names):
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]


def _digest_in(part):
    return part.stem.split("-")[3]


def rows_in_part(model):
    """How many rows a part has: a power of two, as batches mostly are, that follows from the model's config alone."""
    most = max(1, min(ROWS, PART_MACS // macs(model.config)))
    return 1 << (most.bit_length() - 1)


def about_run(model, wanted):
    """What a run's rows depend on beside the images: a digest of the weights and settings, and what is wanted."""
    digest = hashlib.sha256(json.dumps(describe(model), sort_keys=True).encode())
    for array in _arrays(model.params):
        digest.update(str((array.dtype, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return {"model": digest.hexdigest(), "number of classes in a row": wanted.top,
            "representation": wanted.representation, "attention": wanted.attention}


def _arrays(tree):
    if isinstance(tree, dict):
        for name in sorted(tree):
            yield from _arrays(tree[name])
    elif isinstance(tree, (list, tuple)):
        for one in tree:
            yield from _arrays(one)
    else:
        yield tree
