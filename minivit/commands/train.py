"""`minivit train`: its options, and what they say."""

import csv
from dataclasses import fields, replace
from pathlib import Path

from ..training.recipe import Recipe
from . import starting
from .arguments import LABELLED, add_device, folder, new_command, seconds, whole
from .outputs import check_folder

DESCRIPTION = f"""\
Train a Vision Transformer with this package's own backward pass, from random weights or, with --start, from a model's:
then patches, width, layers, heads, eps, GELU, read-out and preprocessing are that model's, and its head is replaced by
one of zeros where the classes of DATA are others.

DATA is {LABELLED} in ImageFolder layout,
<split>/<class>/<image>, or CIFAR-10's original binary version, cifar-10-binary.tar.gz or the folder in it, whose splits
are train and test. All images are held in memory at the model's size. The folder given by --out receives, as the run
goes on:

  images.sha256       the SHA-256 of every image's pixels, so that it can be shown that no test image is among them
  state.safetensors   weights, the optimiser's state and the step, written every --save-seconds; the same command
                      goes on from there and ends with the same weights as a run that was never stopped, to the bit
                      on the same machine with the same number of threads
  log.csv             a row an epoch: epoch, loss, accuracy, both on the images held out (held_out_loss,
                      held_out_accuracy), learning_rate, images_per_second, and temperature with --calibrate
  curve.png           the log as a picture, with --curve
  model.safetensors   after each epoch, the model so far: minivit predict --model FOLDER photo.jpg
  best.safetensors    the model of the epoch with the highest accuracy on the images held out; --model FOLDER reads
                      model.safetensors, --model FOLDER/best.safetensors this one
"""

EXAMPLE = """\
  minivit train cifar10.zip --split train --out runs/cifar10 --image-size 32 --patch-size 4 \\
      --width 128 --layers 6 --heads 4 --mlp-width 512 --epochs 25

a long run with all that holds off overfitting, shown in curve.png; Ctrl-C at any time, the same command goes on:
  minivit train cifar-10-binary.tar.gz --split train --out runs/long --width 256 --layers 7 --epochs 200 \\
      --mimetic --whiten --optimiser muon --weight-decay 0.1 --warmup-epochs 10 --average 0.9998 --patch-dropout 0.5 \\
      --stochastic-depth 0.1 --rand-augment 2 --magnitude 0.5 --erase 0.25 --mixup 0.8 --cutmix 1 --curve

another cosine from its weights:
  minivit train cifar-10-binary.tar.gz --split train --out runs/longer --start runs/long/model.safetensors \\
      --epochs 50 --optimiser muon --weight-decay 0.1 --peak-rate 5e-4 --average 0.9998

a trained model for classes of your own; with --freeze its head alone:
  minivit train photos --out runs/mine --start ViT-B_16.npz --epochs 10 --batch-size 32 --peak-rate 3e-5 --head-rate 10
"""



def add_to(commands):
    """Add `train` to argparse's sub-parsers."""
    parser = new_command(commands, "train", run, "train a model on labelled images", DESCRIPTION, EXAMPLE)
    parser.add_argument("data", metavar="DATA", help="the labelled images")
    parser.add_argument("--split", default="",
                        help="folder inside DATA whose folders are the classes (default: DATA itself)")
    parser.add_argument("--out", required=True, type=folder, metavar="FOLDER", help="where the run's files go")

    starting.add_to(parser)
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
            ("mixing", float, "share of the batches that mixup or cutmix mixes"),
            ("head-rate", float, "the head's learning rate, as a multiple of that of the rest")):
        recipe.add_argument(f"--{name}", type=kind, default=getattr(Recipe(), name.replace("-", "_")), metavar="N",
                            help=f"{text} (default: %(default)s)")

    recipe.add_argument("--no-mirror", dest="mirror", action="store_false",
                        help="flip no image horizontally (default: half of them are): for digits, text, road signs")
    recipe.add_argument("--freeze", action="store_true", help="with --start: train the head alone")
    recipe.add_argument("--calibrate", action="store_true",
                        help="divide the logits of the models written by the temperature that fits the images held out")
    recipe.add_argument("--held-out", type=int, metavar="N",
                        help="training images held out to measure on after each epoch (default: "
                             f"{Recipe.held_out}, or a tenth of fewer than {10 * Recipe.held_out} images)")
    recipe.add_argument("--optimiser", choices=("adamw", "muon"), default=Recipe().optimiser,
                        help="AdamW, or Muon for the layers' matrices and AdamW for the rest (default: %(default)s)")

    parser.add_argument("--workers", type=whole, default=0, metavar="N",
                        help="processes that prepare batches meanwhile, with the same result (default: %(default)s)")
    parser.add_argument("--save-seconds", type=seconds, default=60, metavar="S",
                        help="time between saves (default: %(default)s)")
    parser.add_argument("--curve", action="store_true", help="draw curve.png anew after each epoch")
    add_device(parser)


def run(options):
    """Read the images, train, and say where the model is."""
    settings = {field.name: getattr(options, field.name) for field in fields(Recipe)}
    recipe = Recipe(**settings | {"held_out": Recipe.held_out if options.held_out is None else options.held_out})
    starting.check(options)
    _check_out(options)
    import sys

    from ..checkpoints.new_head import for_classes
    from ..errors import plain
    from ..training.data import read_labelled_images
    from ..training.loop import train
    start, config, preprocessing = starting.begin(options)           # a mistake in them is told before the long read
    recipe.check_fits(config)
    data = read_labelled_images(options.data, options.split, config.height_width, preprocessing)
    if start is not None:
        start, told = for_classes(start, data.classes)
        config = start.config
        if told:
            print(plain(f"minivit: {told}"), file=sys.stderr)
    if options.held_out is None:
        recipe = replace(recipe, held_out=min(Recipe.held_out, len(data) // 10))
    try:
        train(data, config, recipe, options.out, start=start, preprocessing=preprocessing, device=options.device,
              save_seconds=options.save_seconds, curve=options.curve, workers=options.workers)
    except KeyboardInterrupt:
        print(f"\nminivit: the same command goes on from the last save in {plain(options.out)}", file=sys.stderr)
        raise
    print(options.out / "model.safetensors")
    if recipe.calibrate:
        print(f"minivit: {_temperature(options.out, recipe.held_out)}", file=sys.stderr)


def _temperature(folder, images):
    """What the log's last row says of the model's temperature."""
    with open(folder / "log.csv", newline="", encoding="utf-8") as file:
        *_, last = csv.DictReader(file)
    if not last["temperature"]:
        return f"the model is not calibrated, because no temperature fits the {images:,} images held out"
    tau = float(last["temperature"])
    return f"the model's logits are divided by the temperature that fits the {images:,} images held out, {tau:.4g}"


def _check_out(options):
    """Raises where the run's files cannot be written, or would take the place of what the run reads."""
    if Path(options.data).exists() and options.out.exists() and options.out.samefile(options.data):
        raise ValueError(f"--out {options.out} is the folder of the images: give another one")
    images = Path(options.data, options.split)
    if images.is_dir() and options.out.resolve().is_relative_to(images.resolve()):
        raise ValueError(f"--out {options.out} lies in {images}, whose folders are the classes: "
                         "give a folder elsewhere; a run that is there already can be moved")
    if options.start:
        start = Path(options.start)
        inside = start if start.is_dir() else start.parent
        if start.exists() and options.out.exists() and options.out.samefile(inside):
            raise ValueError(f"--out {options.out} holds the model to start with, which the run would replace: "
                             "give another folder")
    check_folder(options.out)
