"""`minivit train`: its options, and what they say."""

from dataclasses import fields, replace
from pathlib import Path

from ..training.recipe import Recipe
from .arguments import (
    LOADING,
    add_device,
    add_loading,
    folder,
    image_size,
    loading_options,
    new_command,
    positive,
    seconds,
    whole,
)
from .outputs import check_folder

DESCRIPTION = """\
Train a Vision Transformer with this package's own backward pass, from random weights or, with --start, from a model's.

DATA is a folder, a .zip or a .tar (.tar.gz, .tar.xz) in ImageFolder layout, <split>/<class>/<image>, or CIFAR-10's
original binary version, cifar-10-binary.tar.gz or the folder in it, whose splits are train and test. All images are
held in memory at the model's size. The folder given by --out receives, as the run goes on:

  images.sha256       the SHA-256 of every image's pixels, so that it can be shown that no test image is among them
  state.safetensors   weights, the optimiser's state and the step, written every --save-seconds; the same command
                      goes on from there and ends with the same weights as a run that was never stopped, to the bit
                      on the same machine with the same number of threads
  log.csv             a row an epoch: epoch, loss, accuracy, both on the images held out (held_out_loss,
                      held_out_accuracy), learning_rate, images_per_second
  curve.png           the log as a picture, with --curve
  model.safetensors   after each epoch, the model so far: minivit predict --model FOLDER photo.jpg
"""

EXAMPLE = """\
  minivit train cifar10.zip --split train --out runs/cifar10 --image-size 32 --patch-size 4 \\
      --width 128 --layers 6 --heads 4 --mlp-width 512 --epochs 25

a long run with all that holds off overfitting, shown in curve.png; Ctrl-C at any time, the same command goes on:
  minivit train cifar-10-binary.tar.gz --split train --out runs/long --width 256 --layers 7 --epochs 200 \\
      --optimiser muon --weight-decay 0.1 --warmup-epochs 10 --average 0.9998 --patch-dropout 0.5 \\
      --stochastic-depth 0.1 --rand-augment 2 --magnitude 0.5 --erase 0.25 --mixup 0.8 --cutmix 1 --curve

another cosine from its weights:
  minivit train cifar-10-binary.tar.gz --split train --out runs/longer --start runs/long/model.safetensors \\
      --width 256 --layers 7 --epochs 50 --optimiser muon --weight-decay 0.1 --peak-rate 5e-4 --average 0.9998
"""

OF_START = tuple(name for name in LOADING if name != "image_size")       # --image-size is the new model's


def add_to(commands):
    """Add `train` to argparse's sub-parsers."""
    parser = new_command(commands, "train", run, "train a model on a folder or zip of images", DESCRIPTION, EXAMPLE)
    parser.add_argument("data", metavar="DATA", help="folder, .zip or .tar of labelled images")
    parser.add_argument("--split", default="", help="folder inside DATA whose folders are the classes (DATA itself)")
    parser.add_argument("--out", required=True, type=folder, metavar="FOLDER", help="where the run's files go")

    model = parser.add_argument_group("model")
    model.add_argument("--image-size", type=image_size, default=32, metavar="SIZE",
                       help="pixels, one number or HEIGHTxWIDTH (%(default)s)")
    for name, letter, default, text in (("patch-size", "P", 4, "side of a patch, pixels"),
                                        ("width", "D", 128, "channels of a token"),
                                        ("layers", "L", 6, "encoder layers"),
                                        ("heads", "H", 4, "attention heads"),
                                        ("mlp-width", "M", 512, "hidden width of the MLP")):
        model.add_argument(f"--{name}", type=positive, default=default, metavar=letter, help=f"{text} (%(default)s)")

    model.add_argument("--start", metavar="NAME|PATH", help="begin with the weights of this model (random weights)")

    recipe = parser.add_argument_group("recipe")
    for name, kind, text in (
            ("epochs", int, "passes over the training images"), ("batch-size", int, "images a step"),
            ("peak-rate", float, "learning rate after the warm-up"),
            ("weight-decay", float, "pull of weight matrices towards 0"),
            ("warmup-epochs", float, "epochs in which the rate rises to its peak; a cosine takes it to 0"),
            ("label-smoothing", float, "share of a label spread over all classes"),
            ("largest-gradient", float, "joint norm to which gradients are clipped"),
            ("padding", int, "largest shift of an image, in pixels"),
            ("seed", int, "decides the weights, the order and the augmentation"),
            ("average", float, "share a step that the weights' moving average keeps, such as 0.999; 0 for none"),
            ("mixup", float, "blend pairs of images, shares from Beta(N, N); 0 for never"),
            ("cutmix", float, "paste a part of another image, shares from Beta(N, N); 0 for never"),
            ("erase", float, "share of the images that lose a rectangle"),
            ("patch-dropout", float, "share of its patches that an image goes without, falling to 0 over the run"),
            ("stochastic-depth", float, "rate at which an image skips the last layer, less for earlier ones"),
            ("rand-augment", int, "operations of RandAugment on each image, such as 2: colours, rotation, shear, …"),
            ("magnitude", float, "how strong these are, 0 to 1"),
            ("mixing", float, "share of the batches that mixup or cutmix mixes")):
        recipe.add_argument(f"--{name}", type=kind, default=getattr(Recipe(), name.replace("-", "_")), metavar="N",
                            help=f"{text} (%(default)s)")

    recipe.add_argument("--held-out", type=int, metavar="N",
                        help="training images kept back to measure on after each epoch "
                             f"({Recipe.held_out}, of fewer than {10 * Recipe.held_out} images a tenth)")
    recipe.add_argument("--optimiser", choices=("adamw", "muon"), default=Recipe().optimiser,
                        help="AdamW, or Muon for the layers' matrices and AdamW for the rest (%(default)s)")

    parser.add_argument("--workers", type=whole, default=0, metavar="N",
                        help="processes that prepare batches during a step, with the same result (%(default)s)")
    parser.add_argument("--save-seconds", type=seconds, default=60, metavar="S",
                        help="time between saves (%(default)s)")
    parser.add_argument("--curve", action="store_true", help="draw curve.png anew after each epoch")
    add_loading(parser, with_image_size=False)
    add_device(parser)


def run(options):
    """Read the images, train, and say where the model is."""
    settings = {field.name: getattr(options, field.name) for field in fields(Recipe)}
    recipe = Recipe(**settings | {"held_out": 0 if options.held_out is None else options.held_out})
    import sys

    from ..checkpoints.loading import load
    from ..config import ViTConfig
    from ..errors import plain
    from ..images.preparation import Preprocessing
    from ..training.data import read_labelled_images
    from ..training.loop import train
    config = ViTConfig(patch_size=options.patch_size, width=options.width, num_layers=options.layers,
                       mlp_width=options.mlp_width, num_heads=options.heads, image_size=options.image_size)
    recipe.check_fits(config)
    _check_out(options)
    preprocessing = Preprocessing(crop_fraction=1.0)
    # A mistake in it is told before the long read.
    start = None if options.start is None else load(options.start, **loading_options(options, OF_START))
    data = read_labelled_images(options.data, options.split, config.height_width, preprocessing)
    if options.held_out is None:
        recipe = replace(recipe, held_out=min(Recipe.held_out, len(data) // 10))
    try:
        train(data, config, recipe, options.out, start=start, preprocessing=preprocessing, device=options.device,
              save_seconds=options.save_seconds, curve=options.curve, workers=options.workers)
    except KeyboardInterrupt:
        print(f"\nminivit: the same command goes on from the last save in {plain(options.out)}", file=sys.stderr)
        raise
    print(options.out / "model.safetensors")


def _check_out(options):
    """Raises where the run's files cannot be written, or would take the place of what the run reads."""
    if Path(options.data).exists() and options.out.exists() and options.out.samefile(options.data):
        raise ValueError(f"--out {options.out} is the folder of the images: give another one")
    if options.start:
        start = Path(options.start)
        inside = start if start.is_dir() else start.parent
        if start.exists() and options.out.exists() and options.out.samefile(inside):
            raise ValueError(f"--out {options.out} holds the model to start with, which the run would replace: "
                             "give another folder")
    check_folder(options.out)
