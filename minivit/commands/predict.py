"""`minivit predict`: what a model sees in images."""

from .arguments import add_device, add_model, model_from, new_command, positive
from .inputs import HELP, images_of, opened
from .outputs import add_json, check_output, tell_json

DESCRIPTION = """\
Print the likeliest classes of each image. The packaged model knows the ten classes of CIFAR-10 and sees images at
32 x 32 pixels; it names one of its ten whatever the image shows.
"""

EXAMPLE = """\
  minivit predict photo.jpg another.png --top 3
  minivit predict holiday/ --model runs/mine --json holiday.json
  minivit predict --sample
"""


def add_to(commands):
    """Add `predict` to argparse's sub-parsers."""
    parser = new_command(commands, "predict", run, "name what images show", DESCRIPTION, EXAMPLE)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=HELP)
    parser.add_argument("--sample", action="store_true", help="predict the photo of a cat that comes with minivit")
    parser.add_argument("--top", type=positive, default=5, metavar="N", help="classes to print (%(default)s)")
    add_model(parser)
    add_json(parser)
    add_device(parser)


def run(options):
    """Print each image's answer as it comes. An image that cannot be read is told, and the others go on."""
    if not options.images and not options.sample:
        raise ValueError("no image given: minivit predict photo.jpg, "
                         "or minivit predict --sample for the photo that comes with minivit")
    import sys

    from .. import prediction
    from ..errors import ImageError, plain
    images = images_of(options.images)
    check_output(options.json, [options.model, *(image for _, image in images)])
    if options.sample:
        from ..samples import CAT
        images.insert(0, ("the photo that comes with minivit", CAT))
    model = model_from(options)
    if not model.config.num_classes:
        raise ValueError(f"the model {model.name} has no head, so no classes to name: "
                         "minivit trace -o FILE.npz gives its representation")
    show = print if options.json != "-" else lambda *_: None
    answers, gap = [], ""
    for name, image in images:
        try:
            answer = prediction.forward(opened(image), model).top(options.top)
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
