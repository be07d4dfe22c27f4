"""`minivit predict`: what a model sees in images."""

from .arguments import add_device, add_model, model_from, new_command, positive

DESCRIPTION = """\
Print the likeliest classes of each image. The packaged model knows the ten classes of CIFAR-10 and sees images at
32 x 32 pixels; it names one of its ten whatever the image shows.
"""

EXAMPLE = """\
  minivit predict photo.jpg another.png --top 3
  minivit predict --sample
"""


def add_to(commands):
    """Add `predict` to argparse's sub-parsers."""
    parser = new_command(commands, "predict", run, "name what images show", DESCRIPTION, EXAMPLE)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="an image file")
    parser.add_argument("--sample", action="store_true", help="predict the photo of a cat that comes with minivit")
    parser.add_argument("--top", type=positive, default=5, metavar="N", help="classes to print (%(default)s)")
    add_model(parser)
    add_device(parser)


def run(options):
    """Print each image's answer as it comes. An image that cannot be read is told, and the others go on."""
    if not options.images and not options.sample:
        raise ValueError("no image given: minivit predict photo.jpg, "
                         "or minivit predict --sample for the photo that comes with minivit")
    import sys

    from .. import prediction
    from ..errors import ImageError, plain
    images = [(image, image) for image in options.images]
    if options.sample:
        from ..samples import CAT
        images.insert(0, ("the photo that comes with minivit", CAT))
    model = model_from(options)
    status, gap = 0, ""
    for name, image in images:
        try:
            answer = prediction.forward(image, model)
            if not model.config.num_classes:
                raise ValueError(f"the model {model.name} has no head, so no classes to name: "
                                 "minivit trace -o FILE.npz gives its representation")
        except ImageError as error:
            print(f"minivit: {error}", file=sys.stderr)
            status = 2
            continue
        print(gap + plain(name))
        gap = "\n"
        for label, probability in answer.top(options.top):
            print(f"  {probability:6.1%}  {plain(label)}")
    return status
