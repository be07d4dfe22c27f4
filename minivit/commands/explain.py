"""`minivit explain`: the figure of a prediction, as `p.show()` draws it, written to a file."""

from .arguments import add_device, add_model, model_from, new_command
from .inputs import HELP, images_of, opened
from .outputs import add_json, check_output, tell_json

DESCRIPTION = """\
Draw what a model makes of an image: the image as the model reads it, its patches, how much the last layer looks at
each patch from [CLS] (mean over its heads), and the five likeliest classes. It is the figure of p.show() in Python.
Attention says where information was taken from, not why a class was chosen: see notebooks/12_what_it_sees.ipynb.
"""

EXAMPLE = """\
  minivit explain photo.jpg -o out.png
  minivit explain --sample -o out.svg --json out.json
"""


def add_to(commands):
    """Add `explain` to argparse's sub-parsers."""
    parser = new_command(commands, "explain", run, "draw what a model makes of images", DESCRIPTION, EXAMPLE)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"{HELP}; a row each, eight at most")
    parser.add_argument("--sample", action="store_true", help="explain the photo of a cat that comes with minivit")
    parser.add_argument("-o", "--output", required=True, metavar="FILE",
                        help="where to write the figure: .png, .svg, .pdf or .jpg")
    add_model(parser)
    add_json(parser, "the numbers of the figure")
    add_device(parser)


def run(options):
    """Predict, draw, and write the figure."""
    import matplotlib
    matplotlib.use("Agg")                                               # a file is wanted, never a window

    from .. import prediction
    from ..errors import plain
    from ..explain.answers.prediction_figure import MOST_IMAGES, prediction_figure
    from ..samples import CAT
    images = [("the photo that comes with minivit", CAT)] * options.sample + images_of(options.images)
    if not images:
        raise ValueError("no image given: minivit explain photo.jpg -o out.png, "
                         "or --sample for the photo that comes with minivit")
    if len(images) > MOST_IMAGES:
        raise ValueError(f"one figure holds {MOST_IMAGES} images, found {len(images)}: call minivit explain again")
    file_format = _format(options.output)
    for output in (options.output, options.json):
        check_output(output, [options.model, *(image for _, image in images)])
    model = model_from(options)
    predictions = prediction.forward([opened(image) for _, image in images], model)
    write(prediction_figure(predictions), options.output, file_format)
    if options.json != "-":
        print(plain(options.output))
    tell_json(options, {"model": model.name, "figure": options.output, "images": [
        {"image": name, **_numbers(member)} for (name, _), member in zip(images, predictions)]})


def _numbers(prediction):
    """What the figure draws of an image: the likeliest classes, and the last layer's attention, rows of patches."""
    from ..explain.answers.prediction_figure import cls_attention
    top = prediction.top(5) if prediction.model.config.num_classes else []
    return {"top": [{"label": label, "probability": probability} for label, probability in top],
            "attention": cls_attention(prediction).tolist()}


def write(figure, path, file_format):
    """Write a matplotlib figure atomically: half a picture is never left behind."""
    from ..checkpoints.atomic import replacing
    with replacing(path) as temporary, open(temporary, "wb") as file:
        figure.savefig(file, format=file_format)


def _format(path):
    """The format that a file's ending asks for. Raises ValueError for one that matplotlib cannot write."""
    ending = path.rpartition(".")[2].lower() if "." in path else ""
    if ending not in ("png", "svg", "pdf", "jpg", "jpeg"):
        raise ValueError(f"-o writes .png, .svg, .pdf or .jpg, found the name {path!r}")
    return ending
