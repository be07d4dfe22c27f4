"""Images a second of `minivit.embed` beside the model's own on arrays, and its memory over the number of images.

    python -m benchmarks.many_images [--fill]

The two take turns, some of the images each, so that what slows the machine down slows both. --fill writes the table
into docs/many.md.
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

PAGE = Path(__file__).parents[1] / "docs" / "many.md"
MEMORY = """
import re, sys
import minivit
from minivit.many.embedding import embed_to
from minivit.many.rows import Wanted
model = minivit.load()
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before = peak()
embed_to(sys.argv[2], sys.argv[1], model, Wanted())
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


def rates(model, folder, turn, turns):
    """(images a second of the model on arrays, of embed from files): medians over turns of `turn` images each."""
    height, width = model.config.height_width
    x = np.random.default_rng(0).standard_normal((turn, height, width, 3), np.float32)
    files = sorted(folder.rglob("*.jpg"))
    model(x[:16])
    list(minivit.embed(files[:16], model))
    seconds = [], []
    for i in range(turns):
        start = time.perf_counter()
        model(x)
        seconds[0].append(time.perf_counter() - start)
        start = time.perf_counter()
        assert all(row.error is None for row in minivit.embed(files[i * turn % len(files):][:turn], model))
        seconds[1].append(time.perf_counter() - start)
    return turn / median(seconds[0]), turn / median(seconds[1]), median(a / b for a, b in zip(*seconds))


def memory(folder, counts):
    """{number of images: (MB before, MB at the peak)} of a process that embeds so many into a CSV file, on Linux.

    VmHWM: what getrusage tells would begin with the size of the process that this one was made by.
    """
    found = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as out:
            paths = Path(out, "list.txt")
            paths.write_text("\n".join(str(p) for p in islice(sorted(folder.rglob("*.jpg")), count)), "utf-8")
            run = subprocess.run([sys.executable, "-c", MEMORY, paths, str(Path(out, "a.csv"))], check=True,
                                 capture_output=True, encoding="utf-8")
            found[count] = tuple(map(float, run.stdout.split()))
    return found


def main():
    """Measure, print, and fill the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fill", action="store_true")
    fill = parser.parse_args().fill
    with tempfile.TemporaryDirectory() as place:
        small = make(Path(place, "small"), 60_000, 32)
        large = make(Path(place, "large"), 200, 224)
        lines = ["| | `model(x)`, images a second | `minivit.embed` from files | share |", "|---|---:|---:|---:|"]
        for what, model, folder, turn, turns in (
                ("packaged model, 10,000 files of 32 px", minivit.load(), small, 2000, 5),
                ("B/16, 200 files of 224 px, thrice", minivit.init("B/16"), large, 200, 3)):
            arrays, files, share = rates(model, folder, turn, turns)
            lines.append(f"| {what} | {arrays:.1f} | {files:.1f} | {share:.1%} |")
            print(lines[-1], flush=True)
        lines += ["", "| images | memory before | at the peak |", "|---:|---:|---:|"]
        for count, (before, peak) in memory(small, (1_000, 10_000, 60_000)).items():
            lines.append(f"| {count:,} | {before:.0f} MB | {peak:.0f} MB |")
            print(lines[-1], flush=True)
    head = (f"{time.strftime('%Y-%m-%d')}, {processor()}, {platform.system()}, NumPy {np.__version__}; "
            "medians of turns that `model(x)` and `embed` took one after another. Memory is the process's largest "
            "resident size; the table was written too.")
    if fill:
        text = PAGE.read_text("utf-8")
        filled = f"<!-- many -->\n{head}\n\n" + "\n".join(lines) + "\n<!-- /many -->"
        PAGE.write_text(re.sub(r"<!-- many -->.*<!-- /many -->", lambda _: filled, text, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
