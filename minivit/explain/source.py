"""The package's own code, printed from its source, so that a notebook never holds a second copy of it."""

import ast
import inspect
import textwrap
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def show_source(*things, docstring=True):
    """Print the source of functions, classes or modules of minivit, each under the name of its file.

    docstring: False leaves the docstrings out, where the text beside them has just said the same.
    """
    shown = None
    for thing in things:
        path = Path(inspect.getsourcefile(thing)).resolve().relative_to(PACKAGE.parent.resolve()).as_posix()
        if path != shown:
            print(f"# {path}\n")
            shown = path
        text = textwrap.dedent(inspect.getsource(thing))
        print((text if docstring else _without_docstring(text)).rstrip() + "\n")


def _without_docstring(text):
    """The source less the lines of its docstrings: its own, and those of the functions and classes in it."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
            literal = node.body[0]
            lines[literal.lineno - 1:literal.end_lineno] = [None] * (literal.end_lineno - literal.lineno + 1)
    return "\n".join(line for line in lines if line is not None).lstrip("\n")
