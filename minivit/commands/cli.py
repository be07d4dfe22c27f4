"""The command line: results to stdout, progress and errors to stderr, exit status 2 for a mistake, told in one line."""

import argparse
import difflib
import importlib
import os
import re
import sys

from .. import __version__
from ..engine import blas_kernel
from ..errors import plain
from . import letters
from .outputs import separate_json

# Each is a module, minivit/commands/<name>.py; --help lists them in this order.
COMMANDS = ("predict", "embed", "trace", "explain", "explore", "compare", "train", "evaluate", "variants", "bench",
            "info")


def main(arguments=None):
    """Run `minivit`. Returns the exit status: a command's own, 2 for a mistake in the input, 130 after Ctrl-C."""
    blas_kernel.choose()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=letters.ERRORS)
    try:
        return _run(arguments)
    except BrokenPipeError:
        # What reads our output has seen enough (`minivit trace | head`): leave without a complaint.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("minivit: stopped", file=sys.stderr)
        return 130


def _run(arguments):
    try:
        options = _parser().parse_args(separate_json(sys.argv[1:] if arguments is None else arguments))
        try:
            _check_not_empty(options)
            return options.run(options) or 0
        except BrokenPipeError:
            raise
        except (ValueError, OSError, RuntimeError, MemoryError) as error:
            message = " ".join(str(error).split()) or "out of memory: give smaller images, or a smaller model"
            print(f"minivit: {plain(as_typed(message, options))}", file=sys.stderr)
            return 2
    finally:
        if sys.stdout is not None:                       # as it is where the shell has closed it
            sys.stdout.flush()


def _check_not_empty(options):
    """Raises ValueError for an empty text: a shell makes one of a variable that is not set, and "" is no file."""
    for name, value in vars(options).items():
        if name != "split" and ("" in value if isinstance(value, list) else value == ""):
            raise ValueError(f"{name} is empty: give a name, or leave it out")


# What options are called in Python, where that is another name.
ALIASES = {"num_layers": "layers", "num_heads": "heads"}


def as_typed(message, options):
    """A message of Python's names with options as they are typed: "batch_size is …" -> "--batch-size is …".

    A name of one word is an option only where the message begins with it, and says what it is or what it does. What a
    file says of itself ("config.json: image_size is …") stays as the file has it.
    """
    names = {name: name for name in vars(options)} | {
        name: option for name, option in ALIASES.items() if option in vars(options)}
    for name, option in names.items():
        typed = "--" + option.replace("_", "-")
        if "_" in name:
            alone = rf"(?<![\w./\\'\"-])(?<!\.json: )(?<! says ){name}(?![\w./\\'\"])"
            message = re.sub(alone, typed, re.sub(f"{alone}=", f"{typed} ", message))
        else:
            message = re.sub(rf"^{name}(?= (is|could|changes|skips|\d))", typed, message)
    return message


class _Parser(argparse.ArgumentParser):
    """argparse prints its usage before an error; here an error is one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {plain(message)}{plain(self._near(message))}; {self.prog} --help tells more\n")

    def parse_known_args(self, args=None, namespace=None):
        """A command's parser tells of an unknown option itself: it knows which ones there are."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown and not self._subparsers:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def _near(self, message):
        """What may have been meant by an unknown command, option or choice."""
        match = re.search(r"unrecognized arguments: (--[\w-]+)|argument ([\w/-]+): invalid choice: '([^']*)'", message)
        if not match:
            return ""
        option, place, choice = match.groups()
        known = [name for action in self._actions for name in action.option_strings] if option else \
            [str(name) for action in self._actions for name in action.choices or ()
             if place in (action.metavar, action.dest, "/".join(action.option_strings))]
        near = difflib.get_close_matches((option or choice)[:100], known, 1)
        return f"; did you mean {near[0]}?" if near else ""


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
