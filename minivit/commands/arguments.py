"""What several commands take: a model, a device, an image size."""

import argparse
import math

from ..config import LARGEST_SIDE


def new_command(commands, name, run, summary, description, example):
    """The argparse parser of a new command, its help kept as it is written."""
    parser = commands.add_parser(name, help=summary, description=description, epilog=f"example:\n{example}",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    return parser


def add_model(parser):
    """--model, a packaged model's name, a file or a folder."""
    parser.add_argument("--model", metavar="NAME|PATH",
                        help="a packaged model's name, or any file or folder of weights that minivit.load reads "
                             "(the packaged model, cifar10)")


def add_device(parser):
    """--device, cpu or cuda."""
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to compute (%(default)s)")


def model_from(options, **changes):
    """The model that --model and --device name. Raises CheckpointError."""
    from ..checkpoints.loading import DEFAULT, load
    return load(DEFAULT if options.model is None else options.model, **changes).to(options.device)


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


# argparse names the type in its message: "invalid HEIGHTxWIDTH in pixels value: 'abc'".
image_size.__name__ = f"image size (a number of pixels up to {LARGEST_SIDE:,}, or HEIGHTxWIDTH)"
seconds.__name__ = "number of seconds (from 0 on)"
positive.__name__ = "number (a whole one, from 1 on)"
whole.__name__ = "number (a whole one, from 0 on)"
