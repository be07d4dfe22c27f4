"""`minivit.embed(source)`: the rows of many images, one by one, and the same into a file."""

from collections.abc import Iterable, Iterator
from itertools import islice
from os import PathLike
from typing import Any

from ..counting import macs
from ..model import VisionTransformer
from ..prediction import checked_model
from . import here
from .parts import ROWS, Parts, about_run, rows_in_part
from .rows import Row, Wanted
from .sources import places

BATCH = 32                                               # images at most: intermediates then fit a processor's caches
BATCH_MACS = 64_000_000_000                              # multiply-adds at most: seconds, so that no thread ends late
BATCH_ON_GPU = 256


def embed(source: str | PathLike[str] | Iterable[str | PathLike[str]], model: VisionTransformer | None = None, *,
          top: int = 5, representation: str | None = "float32", attention: bool = False,
          batch_size: int | None = None, cluster: Any = None) -> Iterator[Row]:
    """What a model says of many images: yields a Row for each, in the source's order, computing on all cores.

    source: a folder, with all folders in it; a .zip; a .txt with a path on each line; a pattern such as
    "photos/**/*.jpg"; or a list of paths. model: the packaged one by default. top: how many of the likeliest classes,
    0 for none. representation: "float32" or "float16" for y (D,), what the head reads; None for none. attention: mean
    distance (pixels) and entropy (nats) of each layer's attention too; it takes a second pass. batch_size: images that
    one thread takes at a time. cluster: a dask.distributed Client, or None for this machine.

    A file that cannot be read becomes a Row with its error. Memory does not grow with the number of images. Raises
    ImageError where the source names no image, ValueError for an argument out of range.
    """
    model = checked_model(model)
    wanted = checked(top, representation, attention)
    batches = _batches(places(source), batch_of(model, batch_size))
    return _one_by_one(batches, model, wanted, cluster)


def _one_by_one(batches, model, wanted, cluster):
    for rows in _work(batches, model, wanted, cluster):
        yield from rows


def embed_to(output, source, model, wanted, *, batch_size=None, cluster=None, send_files=False, resume=False,
             overwrite=False, advance=lambda count: None):
    """The rows of a source in a file: .csv, .json or .parquet by its ending. Returns (images, errors) of the file.

    resume: go on with a run that was stopped. overwrite: begin anew whatever is there. advance(count) is called for
    each batch that is done. The rest is as `embed` has it.
    """
    parts = Parts(output, about_run(model, wanted), rows_in_part(model))
    size = batch_of(model, batch_size)
    with parts.begun(resume, overwrite):
        groups = parts.missing(places(source))
        numbers, lengths = [], []

        def batches():
            for number, group in groups:
                numbers.append(number)
                lengths.append(len(group))
                yield from _batches(group, size)

        waiting = []
        for rows in _work(batches(), model, wanted, cluster, send_files):
            advance(len(rows))
            waiting += rows
            if len(waiting) == lengths[0]:
                parts.write(numbers.pop(0), waiting, wanted, model)
                lengths.pop(0)
                waiting = []
        return parts.join(wanted, model)


def checked(top, representation, attention):
    """The Wanted of these. Raises ValueError."""
    if isinstance(top, bool) or not isinstance(top, int) or top < 0:
        raise ValueError(f"top is a number of classes from 0 on, found {top!r}")
    if representation not in ("float32", "float16", None):
        raise ValueError(f'representation is "float32", "float16" or None, found {representation!r}')
    return Wanted(top, representation, bool(attention))


def batch_of(model, batch_size):
    """How many images a batch has. Raises ValueError."""
    if batch_size is None:
        return max(1, min(BATCH, BATCH_MACS // macs(model.config))) if model.device == "cpu" else BATCH_ON_GPU
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or not 1 <= batch_size <= ROWS:
        raise ValueError(f"batch_size is a number from 1 to {ROWS:,}, found {batch_size!r}")
    return batch_size


def _work(batches, model, wanted, cluster, send_files=False):
    if cluster is None:
        return here.work(batches, model, wanted)
    from . import cluster as elsewhere
    return elsewhere.work(batches, model, wanted, cluster, send_files)


def _batches(found, size):
    found = iter(found)
    while batch := list(islice(found, size)):
        yield batch
