"""`minivit explore`: the explorer, a page in the browser in which the model runs live."""

from urllib.parse import urlencode

from .arguments import add_model, loading_options, new_command, whole
from .outputs import check_folder

DESCRIPTION = """\
Open a page that runs the model in your browser: your own photo, every step with its numbers, patches to paint out,
heads and layers to switch off, the backward pass, and a tour of the lessons. It is served on 127.0.0.1 until Ctrl-C;
pictures that you open in it stay in the browser. With -o the page is written to a folder instead, for any web server.
"""

EXAMPLE = """\
  minivit explore
  minivit explore --section 6 --layer 3 --head 1 --patch 27
  minivit explore --port 8000 --no-browser
  minivit explore -o explorer/
"""

SECTIONS = 18                                        # of the page's tour
PARTS = ("network", "patches", "embedding", "positions", "attention", "distance", "mlp", "stream", "lens", "head",
         "rollout", "backward", "costs", "trace")


def add_to(commands):
    """Add `explore` to argparse's sub-parsers."""
    parser = new_command(commands, "explore", run, "explore the model in the browser", DESCRIPTION, EXAMPLE)
    parser.add_argument("--port", type=whole, default=0, help="the port to serve on (default: any that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="write the page there, and serve nothing")
    group = parser.add_argument_group("where the page opens, all counted from 0")
    group.add_argument("--section", metavar="N", help=f"the tour's lesson, 0 to {SECTIONS - 1}")
    group.add_argument("--layer", metavar="N", help="the layer that is shown")
    group.add_argument("--head", metavar="N|mean", help="the head that is shown, or the mean of all")
    group.add_argument("--patch", metavar="N|cls", help="the token that looks: a patch, or [CLS]")
    group.add_argument("--class", metavar="NAME", help="the class where the backward pass starts")
    group.add_argument("--part", metavar="NAME", help=f"a part of the page: {', '.join(PARTS)}")
    add_model(parser)


def run(options):
    """Serve, or write."""
    from ..checkpoints.loading import DEFAULT, load
    from ..explorer import page_files, serving
    if options.port > 65535:
        raise ValueError(f"a port is a number from 0 to 65535, found {options.port}")
    if options.output:
        check_folder(options.output)
    model = load(options.model or DEFAULT, **loading_options(options))
    where = place(options, model)
    if options.output:
        page_files.write_page(options.output, model)
        print(f"{options.output}/{where}" if where else options.output)
    else:
        serving.serve(model, options.port, not options.no_browser, where)


def place(options, model):
    """The part of the address that says where to look, "#section=6&layer=3", or "". Raises ValueError."""
    config = model.config
    numbers = {"section": SECTIONS, "layer": config.num_layers, "head": config.num_heads, "patch": config.num_patches}
    words = {"head": ["mean"], "patch": ["cls"], "class": model.labels or [], "part": PARTS}
    chosen = {name: str(getattr(options, name)) for name in (*numbers, "class", "part")
              if getattr(options, name) is not None}
    for name, value in chosen.items():
        is_number = value.isdecimal() and int(value) < numbers.get(name, 0)
        if not is_number and value not in words.get(name, ()):
            wanted = f"a number from 0 to {numbers[name] - 1}" if name in numbers else "one of "
            other = (" or " if name in numbers else "") + ", ".join(words[name]) if name in words else ""
            raise ValueError(f"--{name} is {wanted}{other}, found {value}")
    return f"#{urlencode(chosen)}" if chosen else ""
