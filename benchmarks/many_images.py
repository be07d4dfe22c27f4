"""Images a second of `minivit.embed` beside the model's own on arrays, and its memory over the number of images.

    python -m benchmarks.many_images [--fill]

They take turns, all of the images each, so that what slows the machine down slows all. --fill writes the tables into
docs/many.md.
"""

import argparse
import platform
import re
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

import minivit
from minivit.commands.machine import processor
from minivit.many.embedding import embed_to
from minivit.many.rows import Wanted

from .cases import SMALL, SMALL_CONFIG

PAGE = Path(__file__).parents[1] / "docs" / "many.md"
MEMORY = """
import re, sys
import minivit
from minivit.many.embedding import embed_to
from minivit.many.rows import Wanted
from benchmarks.cases import SMALL, SMALL_CONFIG
model = minivit.init(SMALL_CONFIG if sys.argv[1] == SMALL else sys.argv[1])
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before = peak()
embed_to(sys.argv[3], sys.argv[2], model, Wanted())
print(before, peak())
"""


def make(folder, count, side):
    """JPEG files of smooth noise, a thousand in a folder."""
    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / f"{i // 1000:03d}" / f"{i:06d}.jpg"
        path.parent.mkdir(exist_ok=True, parents=True)
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        small.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)
    return folder


def rates(model, files, turns):
    """Seconds of each turn, all images: {what: [seconds, ...]}, of the model on arrays and of embed from files."""
    height, width = model.config.height_width
    x = np.random.default_rng(0).standard_normal((len(files), height, width, 3), np.float32)
    seconds = {what: [] for what in ("model(x)", "rows", ".parquet", ".csv")}
    with tempfile.TemporaryDirectory() as out:
        for i in range(-1, turns):                                       # the first of all is not counted
            some = files if i >= 0 else files[:32]
            for what, found in seconds.items():
                start = time.perf_counter()
                if what == "model(x)":
                    model(x[:len(some)])
                elif what == "rows":
                    assert all(row.error is None for row in minivit.embed(some, model))
                else:
                    assert embed_to(Path(out, "a" + what), some, model, Wanted(), overwrite=True) == (len(some), 0)
                if i >= 0:
                    found.append(time.perf_counter() - start)
    return seconds


def on_a_cluster(model, files, workers, batch_size, turns=3):
    """Images a second with so many Dask workers of a thread each on this machine, the median of some turns."""
    from distributed import Client, LocalCluster
    with (LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
          Client(cluster) as client):
        seconds = []
        for turn in range(-1, turns):                                    # the first of all is not counted
            some = files if turn >= 0 else files[:2 * batch_size * workers]
            start = time.perf_counter()
            assert all(row.error is None for row in minivit.embed(some, model, cluster=client, batch_size=batch_size))
            seconds.append(time.perf_counter() - start)
    return len(files) / median(seconds[1:])


def memory(name, folder, count):
    """(MB before, MB at the peak) of a process that embeds `count` images with a model into a Parquet file, on Linux.

    VmHWM: what getrusage tells would begin with the size of the process that this one was made by.
    """
    with tempfile.TemporaryDirectory() as out:
        paths = Path(out, "list.txt")
        paths.write_text("\n".join(str(p) for p in islice(sorted(folder.rglob("*.jpg")), count)), "utf-8")
        run = subprocess.run([sys.executable, "-c", MEMORY, name, paths, str(Path(out, "a.parquet"))], check=True,
                             capture_output=True, encoding="utf-8")
        return tuple(map(float, run.stdout.split()))


def main():
    """Measure, print, and fill the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fill", action="store_true")
    fill = parser.parse_args().fill
    with tempfile.TemporaryDirectory() as place:
        small = make(Path(place, "small"), 60_000, 32)
        large = make(Path(place, "large"), 200, 224)
        lines = ["| images a second | `model(x)` | rows of `minivit.embed` | `minivit embed` to .parquet | to .csv |",
                 "|---|---:|---:|---:|---:|"]
        for what, model, folder in ((f"{SMALL}, 10,000 files of 32 px", minivit.init(SMALL_CONFIG), small),
                                    ("B/16, 200 files of 224 px", minivit.init("B/16"), large)):
            files = sorted(folder.rglob("*.jpg"))[:10_000]
            seconds = rates(model, files, turns=3)
            each = {name: [round(len(files) / s, 2) for s in found] for name, found in seconds.items()}
            print(what, each, flush=True)
            cells = [f"{len(files) / median(found):.1f}, {share(found, seconds):.1%}" for found in seconds.values()]
            lines.append(f"| {what} | {' | '.join([cells[0].partition(',')[0], *cells[1:]])} |")
            print(lines[-1], flush=True)
        sizes = (16, 256)
        lines += ["", "| images a second on a cluster of this machine, 2,000 files of 32 px | " +
                  " | ".join(f"batches of {size}" for size in sizes) + " |", "|---|---:|---:|"]
        for workers in (1, 2):
            files = sorted(small.rglob("*.jpg"))[:2000]
            found = [on_a_cluster(minivit.init(SMALL_CONFIG), files, workers, n) for n in sizes]
            lines.append(f"| {workers} worker{'s' if workers > 1 else ''} | {found[0]:.0f} | {found[1]:.0f} |")
            print(lines[-1], flush=True)
        lines += ["", "| images | memory before | at the peak |", "|---|---:|---:|"]
        for name, folder, counts in ((SMALL, small, (1_000, 10_000, 30_000, 60_000)), ("B/16", large, (200,))):
            for count in counts:
                before, peak = memory(name, folder, count)
                what = f"{count:,} of {f'32 px, {SMALL}' if folder is small else '224 px, B/16'}"
                lines.append(f"| {what} | {before:.0f} MB | {peak:.0f} MB |")
                print(lines[-1], flush=True)
    head = (f"{time.strftime('%Y-%m-%d')}, {processor()}, {platform.system()}, NumPy {np.__version__}. `model(x)`, on "
            "arrays prepared before, and `embed`, from files, took turns; images a second are of the median turn, and "
            "the share is the median over pairs of turns. Memory is the process's largest resident size; \"before\" "
            "has the weights loaded.")
    if fill:
        text = PAGE.read_text("utf-8")
        filled = f"<!-- many -->\n{head}\n\n" + "\n".join(lines) + "\n<!-- /many -->"
        PAGE.write_text(re.sub(r"<!-- many -->.*<!-- /many -->", lambda _: filled, text, flags=re.DOTALL), "utf-8")


def share(found, seconds):
    """Of the images that `model(x)` makes in a time, how many these do: the median over pairs of turns."""
    return median(a / b for a, b in zip(seconds["model(x)"], found))


if __name__ == "__main__":
    main()
