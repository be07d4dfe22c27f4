"""The command line: one function a command, results to stdout, progress and errors to stderr, exit status 2 for errors.

NumPy is imported inside the commands, after the better BLAS kernel has been chosen.
"""

import argparse
import os
import sys

from . import blas_kernel


def main(arguments=None):
    """Run `minivit`. Returns the exit status: 0, or 2 for a mistake in the input, told in one line."""
    blas_kernel.choose()
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        if isinstance(error, BrokenPipeError):
            # What reads our output has seen enough (`minivit trace | head`): leave without a complaint.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"minivit: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minivit: stopped", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="minivit", description="The Vision Transformer in pure NumPy.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_add_train,):
        add(commands)
    return parser


def _add_train(commands):
    from .training import command
    command.add_to(commands)
