"""What `minivit train` begins with: a network of given sizes with random weights, or the model that --start names."""

from .arguments import LOADING, add_loading, image_size, loading_options, positive

OF_START = tuple(name for name in LOADING if name != "image_size")
SIZES = (("patch-size", "P", 4, "side of a patch, pixels"), ("width", "D", 128, "features of a token"),
         ("layers", "L", 6, "encoder layers"), ("heads", "H", 4, "attention heads"),
         ("mlp-width", "M", 512, "hidden width of the MLP"))
IMAGE_SIZE = 32


def add_to(parser):
    """The options for the model to train."""
    model = parser.add_argument_group("model")
    model.add_argument("--start", metavar="NAME|PATH",
                       help="begin with the weights of this model (default: random weights)")
    model.add_argument("--image-size", type=image_size, metavar="SIZE",
                       help="pixels, one number or HEIGHTxWIDTH; learned positions of --start are resampled to it "
                            f"(default: --start's own, else {IMAGE_SIZE})")
    network = parser.add_argument_group("a new network (without --start)")
    for name, letter, default, text in SIZES:
        network.add_argument(f"--{name}", type=positive, metavar=letter, help=f"{text} (default: {default})")
    network.add_argument("--mimetic", action="store_true",
                         help="begin with attention like trained networks': patches near and alike")
    network.add_argument("--whiten", action="store_true",
                         help="begin with a patch embedding that whitens the training patches")
    add_loading(parser, with_image_size=False, title="with --start: what the file of weights does not tell")


def check(options):
    """Raises ValueError for options that contradict --start, or need it."""
    given = [name for name, *_ in SIZES if getattr(options, name.replace("-", "_")) is not None]
    given += [name for name in ("mimetic", "whiten") if getattr(options, name)]
    if options.start is not None and given:
        raise ValueError(f"--{given[0]} does not go with --start, whose model has its own: leave it out")
    needing = [name for name in OF_START if getattr(options, name) is not None] + ["freeze"] * options.freeze
    if options.start is None and needing:
        why = "random weights would stay random" if needing[0] == "freeze" else "it is for what a file does not tell"
        raise ValueError(f"--{needing[0].replace('_', '-')} goes with --start: {why}")


def begin(options):
    """(the model to start with or None, the config to train, its preprocessing)."""
    from ..checkpoints.loading import load
    from ..config import ViTConfig
    from ..images.preparation import Preprocessing
    if options.start is not None:
        start = load(options.start, **loading_options(options))
        return start, start.config, start.preprocessing
    sizes = {name: getattr(options, name.replace("-", "_")) or default for name, _, default, _ in SIZES}
    config = ViTConfig(patch_size=sizes["patch-size"], width=sizes["width"], num_layers=sizes["layers"],
                       num_heads=sizes["heads"], mlp_width=sizes["mlp-width"],
                       image_size=options.image_size or IMAGE_SIZE)
    return None, config, Preprocessing(crop_fraction=1.0)
