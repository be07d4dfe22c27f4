"""A training run that fits a clock: the speed is measured first, or given, and as many epochs taken as end in time.

    python -m benchmarks.gpu_train IMAGES --out FOLDER --seconds 360

It is `minivit train` with the recipe below; a folder that holds a run's state goes on with that run's own recipe. Each
epoch's row of the log is printed as a result as soon as it is there.
"""

import argparse
import csv
import json
import tempfile
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from unittest.mock import patch

from safetensors import safe_open

from minivit.config import ViTConfig
from minivit.images.preparation import Preprocessing
from minivit.training import loop
from minivit.training.data import read_labelled_images
from minivit.training.recipe import Recipe
from minivit.training.record import LOG

CONFIG = ViTConfig(patch_size=4, width=192, num_layers=9, mlp_width=384, num_heads=6, image_size=32)
RATE_AT_64 = 1.25e-3                                        # Muon's, for batches of 64
# The packaged model's. A run before it, planned for 100 epochs in batches of 1,024 with magnitude 0.4, mixup 0.5, half
# of the batches mixed and at most a quarter of the patches left out, learned its images by heart: this changes them
# more.
RECIPE = Recipe(optimiser="muon", weight_decay=0.1, warmup_epochs=10, average=0.998, rand_augment=2, magnitude=0.5,
                erase=0.25, mixup=0.8, cutmix=1.0, mixing=0.8, stochastic_depth=0.1, patch_dropout=0.5, mimetic=True,
                whiten=True, calibrate=True)
MARGIN = 0.9                                                # share of the time left that the epochs are to fill
PROBE_SECONDS = 5


def main():
    """Measure, choose, train."""
    options = parsed()
    ended = time.monotonic() + options.seconds
    config, recipe, device = CONFIG, scaled(RECIPE, options.batch_size), options.device
    probe_seconds = PROBE_SECONDS
    if options.tiny:
        config = ViTConfig(patch_size=4, width=16, num_layers=2, mlp_width=16, num_heads=2, image_size=8)
        recipe, probe_seconds = replace(recipe, batch_size=16, held_out=16, epochs=40, padding=1), 0.5
    data = read_labelled_images(options.images, options.split, config.height_width, Preprocessing(crop_fraction=1.0))
    report(images=len(data), classes=len(data.classes))
    found = recipe_of(options.out / "state.safetensors")
    if found:
        recipe = found
    else:
        speeds = options.speeds or [speed(data, config, replace(recipe, patch_dropout=share), options, probe_seconds)
                                    for share in (recipe.patch_dropout, 0.0)]
        # Patch dropout falls evenly over the run, and so does the speed: its seconds are those of the two ends' mean.
        seconds = (len(data) - recipe.held_out) * sum(1 / s for s in speeds) / 2
        fitting = int(MARGIN * (ended - time.monotonic()) / seconds)
        report(images_per_second={"first": round(speeds[0]), "last": round(speeds[1])}, epochs_that_fit=fitting)
        most = recipe.epochs if options.tiny else options.epochs
        epochs = max(1, min(most, fitting))
        recipe = replace(recipe, epochs=epochs, warmup_epochs=min(recipe.warmup_epochs, epochs / 10))
    report(recipe=asdict(recipe), goes_on=bool(found))
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(options.out / LOG, over))
    watcher.start()
    try:
        loop.train(data, config, recipe, options.out, preprocessing=Preprocessing(crop_fraction=1.0), device=device,
                   save_seconds=options.save_seconds, progress=False, workers=options.workers)
    finally:
        over.set()
        watcher.join()
    report(finished=True)                                   # after the last epoch's row


def parsed():
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", help="as `minivit train` takes them")
    parser.add_argument("--split", default="train")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seconds", type=float, default=360, help="to end in (%(default)s)")
    parser.add_argument("--epochs", type=int, default=320, help="at most (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=2048, help="images a step (%(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches (%(default)s)")
    parser.add_argument("--speeds", type=float, nargs=2, metavar="IMAGES",
                        help="images a second at the first steps and at the last, known from before and not measured")
    parser.add_argument("--save-seconds", type=float, default=15, help="time between saves (%(default)s)")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to rehearse")
    return parser.parse_args()


def scaled(recipe, batch_size):
    """The recipe for this batch size. The rate grows with its square root, as for Adam (arXiv 2205.10343)."""
    return replace(recipe, batch_size=batch_size, peak_rate=RATE_AT_64 * (batch_size / 64) ** 0.5)


def speed(data, config, recipe, options, seconds):
    """Images a second of a run's first steps, all but the very first, which compiles; the run is then thrown away."""
    ends, step = [], loop._step

    def timed(*arguments):
        result = step(*arguments)
        ends.append(time.perf_counter())
        if len(ends) >= 3 and ends[-1] - ends[0] >= seconds:
            raise Enough
        return result

    recipe = replace(recipe, epochs=10 ** 6)                 # patch dropout stays where it begins
    with tempfile.TemporaryDirectory() as folder, patch.object(loop, "_step", timed):
        try:
            loop.train(data, config, recipe, folder, device=options.device, save_seconds=1e9, progress=False,
                       workers=options.workers)
        except Enough:
            pass
    return recipe.batch_size * (len(ends) - 1) / (ends[-1] - ends[0])


class Enough(Exception):
    """The speed is known."""


def recipe_of(state):
    """The recipe of the run whose state this file is, or None where there is none."""
    if not state.exists():
        return None
    with safe_open(state, framework="numpy") as file:
        return Recipe(**json.loads(file.metadata()["about"])["recipe"])


def watch(log, over, every=0.2):
    """Report each row of the log as it comes, until `over`, and those of the last moment."""
    rows = 0
    while True:
        last = over.wait(every)
        if log.exists():
            with open(log, newline="", encoding="utf-8") as file:
                found = list(csv.DictReader(file))
            for row in found[rows:]:
                report(**row)
            rows = len(found)
        if last:
            return


def report(**result):
    """A result for the session, and for whoever reads along."""
    print("RESULT " + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
