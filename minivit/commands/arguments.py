"""What several commands take: a model, what its file does not tell, a device, an image size."""

import argparse
import math
from pathlib import Path

from ..config import LARGEST_SIDE

LABELLED = "a folder, a .zip or a .tar (.tar.gz, .tar.xz)"      # what holds labelled images
LOADING = ("num_heads", "image_size", "layer_norm_eps", "gelu", "pool", "key", "prefix", "revision")


def new_command(commands, name, run, summary, description, example):
    """The argparse parser of a new command, its help kept as it is written."""
    parser = commands.add_parser(name, help=summary, description=description, epilog=f"example:\n{example}",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    return parser


def add_model(parser, with_image_size=True):
    """--model, a packaged model's name, a file or a folder, and the options that say what such a file does not tell."""
    parser.add_argument("--model", metavar="NAME|PATH",
                        help="a packaged model's name, any file or folder of weights that minivit.load reads, or "
                             "OWNER/NAME on the Hugging Face hub (default: the packaged model, cifar10)")
    add_loading(parser, with_image_size)


def add_loading(parser, with_image_size=True, title="what the file of weights does not tell"):
    """The options for what a file of weights does not tell; `loading_options` reads them."""
    group = parser.add_argument_group(title)
    group.add_argument("--num-heads", type=positive, metavar="H", help="attention heads")
    if with_image_size:
        group.add_argument("--image-size", type=image_size, metavar="SIZE",
                           help="pixels, one number or HEIGHTxWIDTH; learned positions of another size are resampled")
    group.add_argument("--layer-norm-eps", type=float, metavar="EPS", help="LayerNorm's eps")
    group.add_argument("--gelu", choices=("erf", "tanh", "quick"), help="the form of GELU")
    group.add_argument("--pool", choices=("cls", "mean", "normed_mean"),
                       help="what the head reads, where the weights leave it open")
    group.add_argument("--key", metavar="KEY", help="the state dict to read, where a file holds several")
    group.add_argument("--prefix", metavar="TEXT", help="what the model's names begin with, where there are several")
    group.add_argument("--revision", metavar="REV",
                       help="branch, tag or commit of OWNER/NAME on the hub (default: the newest)")


def loading_options(options, names=LOADING):
    """Keyword arguments of minivit.load: those of the options that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}


def add_device(parser):
    """--device, cpu or cuda."""
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"),
                        help="where to compute (default: %(default)s)")


def model_from(options, **more):
    """The model that --model and --device name, with what the options tell of it. Raises CheckpointError.

    more: other keyword arguments of minivit.load.
    """
    from ..checkpoints.loading import DEFAULT, load
    source = DEFAULT if options.model is None else options.model
    return load(source, **loading_options(options), **more).to(options.device)


def image_size(text):
    """"224" -> 224, "224x320" -> (224, 320): height x width."""
    sides = tuple(int(side) for side in text.lower().split("x"))
    if len(sides) not in (1, 2) or min(sides) < 1 or max(sides) > LARGEST_SIDE:
        raise ValueError
    return sides[0] if len(sides) == 1 else sides


def positive(text):
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def whole(text):
    """A whole number from 0 on."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def seconds(text):
    """A number from 0 on; infinity is never."""
    value = float(text)
    if math.isnan(value) or value < 0:
        raise ValueError
    return value


def folder(text):
    """A folder's path, which is not the present one where the text is empty."""
    if not text:
        raise ValueError
    return Path(text)


# argparse names the type in its message: "invalid HEIGHTxWIDTH in pixels value: 'abc'".
image_size.__name__ = f"image size (a number of pixels up to {LARGEST_SIDE:,}, or HEIGHTxWIDTH)"
folder.__name__ = "name of a folder"
seconds.__name__ = "number of seconds (from 0 on)"
positive.__name__ = "number (a whole one, from 1 on)"
whole.__name__ = "number (a whole one, from 0 on)"
