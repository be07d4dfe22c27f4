"""`minivit train`: its options, and what they say."""

import argparse
from dataclasses import fields
from pathlib import Path

DESCRIPTION = """\
Train a Vision Transformer from random weights with this package's own backward pass.

DATA is a folder or a .zip in ImageFolder layout, <split>/<class>/<image>; all its images are held in memory at the
model's size. The folder given by --out receives, as the run goes on:

  state.safetensors   weights, AdamW's moments and the step, written every --save-seconds; the same command goes on
                      from there and ends with the same weights, to the bit, as a run that was never stopped
  log.csv             a row an epoch: loss, accuracy, and both on the images held out
  model.safetensors   at the end, the model: minivit predict --model FOLDER/model.safetensors photo.jpg
"""

EXAMPLE = """\
example, the packaged model's size:
  minivit train cifar10.zip --split train --out runs/cifar10 --image-size 32 --patch-size 4 \\
      --width 128 --layers 6 --heads 4 --mlp-width 512 --epochs 25
"""


def add_to(commands):
    """Add `train` to an argparse sub-parser."""
    parser = commands.add_parser("train", help="train a model on a folder or zip of images", description=DESCRIPTION,
                                 epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="DATA", help="folder or .zip: <split>/<class>/<image>")
    parser.add_argument("--split", default="", help="folder inside DATA whose folders are the classes (default: DATA)")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where the run's files go")

    model = parser.add_argument_group("model")
    model.add_argument("--image-size", type=int, default=32, metavar="PIXELS", help="side of the images (%(default)s)")
    model.add_argument("--patch-size", type=int, default=4, metavar="P", help="side of a patch (%(default)s)")
    model.add_argument("--width", type=int, default=128, metavar="D", help="channels of a token (%(default)s)")
    model.add_argument("--layers", type=int, default=6, metavar="L", help="encoder layers (%(default)s)")
    model.add_argument("--heads", type=int, default=4, metavar="H", help="attention heads (%(default)s)")
    model.add_argument("--mlp-width", type=int, default=512, metavar="M", help="hidden width of the MLP (%(default)s)")

    recipe = parser.add_argument_group("recipe")
    for name, kind, text in (
            ("epochs", int, "passes over the training images"), ("batch-size", int, "images a step"),
            ("peak-rate", float, "learning rate after the warm-up"),
            ("weight-decay", float, "AdamW's, on weight matrices"),
            ("warmup-epochs", float, "epochs in which the rate rises to its peak; a cosine takes it to 0"),
            ("label-smoothing", float, "share of a label spread over all classes"),
            ("largest-gradient", float, "joint norm to which gradients are clipped"),
            ("padding", int, "largest shift of an image, in pixels"),
            ("held-out", int, "training images kept back to measure on after each epoch"),
            ("seed", int, "decides the weights, the order and the augmentation")):
        recipe.add_argument(f"--{name}", type=kind, default=_default(name), metavar="N", help=f"{text} (%(default)s)")

    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to compute (%(default)s)")
    parser.add_argument("--save-seconds", type=float, default=60, metavar="S", help="time between saves (%(default)s)")
    parser.set_defaults(run=run)


def run(options):
    """Read the images, train, and say where the model is."""
    from ..config import ViTConfig
    from ..image import Preprocessing
    from .data import read_labelled_images
    from .loop import Recipe, train
    config = ViTConfig(patch_size=options.patch_size, width=options.width, num_layers=options.layers,
                       mlp_width=options.mlp_width, num_heads=options.heads, image_size=options.image_size)
    recipe = Recipe(**{field.name: getattr(options, field.name) for field in fields(Recipe)})
    preprocessing = Preprocessing(crop_fraction=1.0)
    data = read_labelled_images(options.data, options.split, config.height_width, preprocessing)
    train(data, config, recipe, options.out, preprocessing=preprocessing, device=options.device,
          save_seconds=options.save_seconds)
    print(options.out / "model.safetensors")


def _default(name):
    from .loop import Recipe
    return getattr(Recipe(), name.replace("-", "_"))
