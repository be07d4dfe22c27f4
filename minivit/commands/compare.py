"""`minivit compare`: do two models, or a model and a port of it, compute the same?"""

from dataclasses import asdict

from .arguments import add_loading, loading_options, new_command
from .inputs import opened
from .outputs import add_json, check_output, tell_json

DESCRIPTION = """\
Compare a model with a reference, step by step, in float64: a row a step of the trace, the largest absolute and the
relative difference, the first row that disagrees, and its cause where it is a known one. REFERENCE is a second model,
or an .npz file of arrays under the trace's names, any of them, from a port in another language; minivit trace -o
writes such a file. The exit status is 0 where all rows agree, 1 where one does not.
"""

EXAMPLE = """\
  minivit trace photo.jpg -o steps.npz && minivit compare cifar10 steps.npz
  minivit compare model.safetensors vit-base-patch16-224/ --image photo.jpg --gradients
"""


def add_to(commands):
    """Add `compare` to argparse's sub-parsers."""
    parser = new_command(commands, "compare", run, "find where a model and a reference part", DESCRIPTION, EXAMPLE)
    parser.add_argument("model", metavar="MODEL",
                        help="a packaged model's name, a file or a folder of weights, or OWNER/NAME on the hub")
    parser.add_argument("reference", metavar="REFERENCE", help="the same, or an .npz file of the trace's arrays")
    parser.add_argument("--image", metavar="IMAGE",
                        help='an image file (default: the reference\'s "pixels", else the photo that comes with '
                             "minivit)")
    parser.add_argument("--gradients", action="store_true", help="compare the gradient of every parameter too")
    add_loading(parser, title="what MODEL's file of weights does not tell; REFERENCE is read without these")
    add_json(parser, "the table")


def run(options):
    """Print the table. Returns 1 where the two disagree."""
    from ..checking.comparison import compare
    from ..checkpoints.loading import load
    from ..errors import plain
    check_output(options.json, (options.model, options.reference, options.image))
    image = None if options.image is None else opened(options.image)
    model = load(options.model, dtype="float64", **loading_options(options))
    comparison = compare(model, options.reference, image, options.gradients)
    if options.json != "-":
        print("\n".join(plain(line) for line in str(comparison).splitlines()))
    tell_json(options, {"agrees": comparison.agrees, "first_difference": comparison.first_difference,
                        **asdict(comparison)})
    return 0 if comparison.agrees else 1
