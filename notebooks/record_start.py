"""Record the filters that the packaged model's run began with, for chapter 02:

    python notebooks/record_start.py cifar10.zip

They are drawn anew as `minivit train --mimetic --whiten` draws them, from the run's seed, 0, and 2,000 of its training
images; the archive holds train/<class>/<image>. They go into recorded/whitened.npz, in float16. Run it again when the
packaged model has begun with another seed, or with other images.
"""

import sys
from pathlib import Path

import numpy as np

import minivit
from minivit.training.data import read_labelled_images
from minivit.training.loop import begin_random, hold_out
from minivit.training.recipe import Recipe

FILE = Path(__file__).parent / "recorded" / "whitened.npz"


def whitened_filters(archive):
    """The patch embedding's weight (48, 192) before the first step."""
    packaged, recipe = minivit.load("cifar10"), Recipe(mimetic=True, whiten=True)
    model = minivit.init(packaged.config, seed=recipe.seed, preprocessing=packaged.preprocessing)
    data = read_labelled_images(archive, "train", model.config.height_width, model.preprocessing)
    begin_random(model, recipe, data, hold_out(data, recipe)[0])
    return model.params["patch_embed"]["proj"]["weight"]


if __name__ == "__main__":
    np.savez_compressed(FILE, filters=whitened_filters(sys.argv[1]).astype(np.float16))
