"""`minivit explore`: the explorer, a page in the browser in which the model runs live."""

from .arguments import add_model, loading_options, new_command, whole

DESCRIPTION = """\
Open a page that runs the model in your browser: your own photo, every step with its numbers, patches to paint out,
heads and layers to switch off, the backward pass, and a tour of the lesson. It is served on 127.0.0.1 until Ctrl-C;
pictures that you open in it stay in the browser. With -o the page is written to a folder instead, for any web server.
"""

EXAMPLE = """\
  minivit explore
  minivit explore --port 8000 --no-browser
  minivit explore -o explorer/
"""


def add_to(commands):
    """Add `explore` to argparse's sub-parsers."""
    parser = new_command(commands, "explore", run, "explore the model in the browser", DESCRIPTION, EXAMPLE)
    parser.add_argument("--port", type=whole, default=0, help="the port to serve on (any that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the address, and open no browser")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="write the page there, and serve nothing")
    add_model(parser)


def run(options):
    """Serve, or write."""
    from ..checkpoints.loading import DEFAULT, load
    from ..explorer import page_files, serving
    if options.port > 65535:
        raise ValueError(f"a port is a number from 0 to 65535, found {options.port}")
    model = load(options.model or DEFAULT, **loading_options(options))
    if options.output:
        page_files.write_page(options.output, model)
        print(options.output)
    else:
        serving.serve(model, options.port, not options.no_browser)
