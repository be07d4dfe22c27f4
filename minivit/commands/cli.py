"""The command line: results to stdout, progress and errors to stderr, exit status 2 for a mistake, told in one line."""

import argparse
import importlib
import os
import sys

from .. import __version__
from ..engine import blas_kernel

# Each is a module, minivit/commands/<name>.py; --help lists them in this order.
COMMANDS = ("predict", "trace", "explain", "explore", "compare", "train", "evaluate", "variants", "bench", "info")


def main(arguments=None):
    """Run `minivit`. Returns the exit status: a command's own, 2 for a mistake in the input, 130 after Ctrl-C."""
    blas_kernel.choose()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")        # a terminal without √ or ₚ, as on Windows, shows "?" there
    try:
        return _run(arguments)
    except BrokenPipeError:
        # What reads our output has seen enough (`minivit trace | head`): leave without a complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        message = " ".join(str(error).split()) or "out of memory: give smaller images, or a smaller model"
        print(f"minivit: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minivit: stopped", file=sys.stderr)
        return 130


def _run(arguments):
    try:
        options = _parser().parse_args(arguments)
        return options.run(options) or 0
    finally:
        sys.stdout.flush()


class _Parser(argparse.ArgumentParser):
    """argparse prints its usage before an error; here an error is one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help tells more\n")


def _parser():
    parser = _Parser(prog="minivit", description="The Vision Transformer in pure NumPy.",
                     epilog="example:\n  minivit predict --sample",
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"minivit {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND",
                                     description="minivit COMMAND --help tells what each takes")
    for name in COMMANDS:
        importlib.import_module(f".{name}", __package__).add_to(commands)
    return parser
