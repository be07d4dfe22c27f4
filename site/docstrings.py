"""minivit's docstrings for Sphinx: plain text with indented equations, which keep their lines and columns.

A paragraph stays one; whatever reStructuredText would read into it (stars, bars, names that end in _) is taken
literally; `name` is code. Indented lines are a block as they stand.
"""

import ast
import inspect
import re
import textwrap


def as_rst(text, names=()):
    """A docstring without its margin as lines of reStructuredText. names: parameters, code where told of."""
    out = []
    for block in re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")):
        for part in pieces(block.rstrip().split("\n")):
            out += literal(part) if part[0].startswith(" ") else [paragraph(" ".join(part), names)]
            out += [""]
    return out


def pieces(lines):
    """A block cut where the indentation begins or ends."""
    parts = []
    for line in lines:
        if parts and parts[-1][0].startswith(" ") == line.startswith(" "):
            parts[-1].append(line)
        else:
            parts.append([line])
    return parts


def literal(lines):
    """Lines as they stand; Python where they are a session."""
    text = textwrap.dedent("\n".join(lines)).split("\n")
    language = "pycon" if text[0].startswith(">>>") else "text"
    return [f".. code-block:: {language}", "", *("   " + line for line in text)]


def paragraph(text, names=()):
    """One line of text, with `code` as code, and "x, y: …" as code where x and y are parameters."""
    if names:
        name = "|".join(map(re.escape, names))
        text = re.sub(rf"(^|[.;:] )((?:{name})(?:(?:, | and )(?:{name}))*): ",
                      lambda m: m[1] + re.sub(rf"\b({name})\b", r"`\1`", m[2]) + ": ", text)
    parts = re.split(r"`([^`]+)`", text)
    return "".join(f"``{part}``" if i % 2 else re.sub(r"([\\*|_`])", r"\\\1", part) for i, part in enumerate(parts))


def written(obj):
    """A docstring as its source has it, less the margin of its own quotes, or None.

    Sphinx and inspect take off the margin that the lines after the first have in common: where these are all equations,
    that is the indentation which tells that they are.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(getattr(obj, "fget", None) or getattr(obj, "func", obj))))
    except (TypeError, OSError):
        return None
    owner = tree if inspect.ismodule(obj) else tree.body[0]
    text = ast.get_docstring(owner, clean=False)
    if text is None:
        return None
    margin = " " * owner.body[0].col_offset
    return "\n".join(line.removeprefix(margin) for line in text.split("\n"))


def parameters(obj):
    """The names of a function's parameters, or of a class's fields."""
    try:
        return [name for name in inspect.signature(obj).parameters if name != "self"]
    except (TypeError, ValueError):
        return []


def setup(app):
    """Sphinx's hook."""
    def turn(app, what, name, obj, options, lines):
        lines[:] = as_rst(written(obj) or "\n".join(lines), parameters(obj))
    app.connect("autodoc-process-docstring", turn)
    return {"parallel_read_safe": True}
