"""`minivit predict`: what a model sees in images."""

from .arguments import add_device, add_model, model_from, new_command, positive
from .embed import add_running, written
from .inputs import HELP, images_of, opened, standard_input
from .outputs import add_json, check_output, exact_output, tell_json

DESCRIPTION = """\
Print the likeliest classes of each image. The packaged model knows the ten classes of CIFAR-10 and sees images at
32 x 32 pixels; it names one of its ten whatever the image shows.
"""

EXAMPLE = """\
  minivit predict photo.jpg another.png --top 3
  minivit predict holiday/ --model runs/mine --json holiday.json
  minivit predict --sample
  minivit predict scans.zip --format csv -o scans.csv
"""


def add_to(commands):
    """Add `predict` to argparse's sub-parsers."""
    parser = new_command(commands, "predict", run, "name what images show", DESCRIPTION, EXAMPLE)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=HELP)
    parser.add_argument("--sample", action="store_true", help="predict the photo of a cat that comes with minivit")
    parser.add_argument("--top", type=positive, default=5, metavar="N", help="classes to print (default: %(default)s)")
    parser.add_argument("--format", choices=("csv", "json", "parquet"),
                        help="a table of any number of images, with what the folders in a folder hold, or a .zip's")
    parser.add_argument("-o", "--output", metavar="FILE", help="the table's file, which appears whole (default: "
                                                               "standard output; a Parquet file needs a name)")
    add_running(parser)
    add_model(parser)
    add_json(parser)
    add_device(parser)


def run(options):
    """Print each image's answer as it comes. An image that cannot be read is told, and the others go on."""
    if not options.images and not options.sample:
        raise ValueError("no image given: minivit predict photo.jpg, "
                         "or minivit predict --sample for the photo that comes with minivit")
    _check_effects(options)
    if options.format:
        return _table(options)
    import math
    import sys

    import numpy as np

    from .. import prediction
    from ..errors import ImageError, plain
    from ..many.rows import NOT_FINITE
    images = images_of(options.images)
    check_output(options.json, [options.model, *(image for _, image in images)])
    if options.sample:
        from ..samples import CAT
        images.insert(0, ("the photo that comes with minivit", CAT))
    model = _classifier(options)
    show = print if options.json != "-" else lambda *_: None
    answers, gap = [], ""
    for name, image in images:
        try:
            with np.errstate(over="ignore", invalid="ignore"):          # told in one line below
                answer = prediction.forward(opened(image), model).top(options.top)
            if not all(math.isfinite(p) for _, p in answer):
                raise ImageError(f"{name}: {NOT_FINITE}")
        except ImageError as error:
            print(f"minivit: {error}", file=sys.stderr)
            answers.append({"image": name, "error": str(error)})
            continue
        show(gap + plain(name))
        gap = "\n"
        for label, probability in answer:
            show(f"  {probability:6.1%}  {plain(label)}")
        answers.append({"image": name, "top": [{"label": label, "probability": float(p)} for label, p in answer]})
    tell_json(options, {"model": model.name, "images": answers})
    return 2 if any("error" in answer for answer in answers) else 0


def _check_effects(options):
    """Raises ValueError for an option that would change nothing."""
    given = [name for name in ("output", "resume", "overwrite", "batch_size", "cluster", "send_files")
             if getattr(options, name)]
    if given and not options.format:
        raise ValueError(f"{given[0]} is for a table: give --format csv, json or parquet too"
                         f"{', or --json FILE.json' if given[0] == 'output' else ''}")
    if options.format and options.json:
        raise ValueError("json is for answers without a table: give --format json alone, or leave --format out")
    for_file = [name for name in given if name not in ("output", "batch_size")]
    if for_file and not options.output:
        raise ValueError(f"{for_file[0]} is for a table in a file: give -o FILE.{options.format} too")


def _classifier(options):
    """The model. Raises ValueError for one without a head."""
    model = model_from(options)
    if not model.config.num_classes:
        raise ValueError(f"the model {model.name} has no head, so no classes to name: "
                         "minivit trace -o FILE.npz gives its representation")
    return model


def _table(options):
    """The answers as a table: a file, or lines on standard output."""
    from ..many.embedding import checked, embed
    from ..many.formats import printed
    from ..many.sources import Place
    from ..samples import CAT
    if options.output and not options.output.lower().endswith("." + options.format):
        raise ValueError(f"output is a file that ends in .{options.format}, found {options.output}")
    if options.format == "parquet" and not options.output:
        raise ValueError("a Parquet file needs a name: -o FILE.parquet")
    model = _classifier(options)
    source = [Place("-", content=standard_input()) if image == "-" else image for image in options.images]
    source += [CAT] * options.sample
    if len(source) == 1 and options.images != ["-"]:
        source = source[0]                               # a .zip, a .txt or a pattern too
    wanted = checked(options.top, None, False)
    if options.output:
        return written(source, options.output, options, model, wanted)
    rows = embed(source, model, top=options.top, representation=None, batch_size=options.batch_size)
    exact_output()
    errors = 0
    for row, text in printed(rows, options.format, wanted, model):
        errors += bool(row and row.error)
        print(text, end="")
    return 2 if errors else 0
