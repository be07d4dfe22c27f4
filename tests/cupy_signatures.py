"""CuPy's functions, methods and their arguments: read from CuPy itself, or from the table stored beside the tests.

A signature is kept as short text, "a axis= dtype= out= keepdims=": a name that ends in = is optional, / ends the
positional arguments, * begins the keyword ones. `python -m tests.cupy_signatures`, where CuPy is installed (it needs
no GPU), writes the table anew.
"""

import functools
import inspect
import json
import re
from pathlib import Path

TABLE = Path(__file__).parent / "reference" / "cupy_signatures.json"
METHOD = "ndarray."
SUBMODULES = ("linalg",)


@functools.cache
def stored():
    """The stored table: {"cupy": its version, "signatures": {"exp": text, "linalg.norm": …, "ndarray.sum": …}}."""
    return json.loads(TABLE.read_text("utf-8"))


def check(name, positional, keywords, signatures=None):
    """Raises TypeError unless CuPy has `name` and takes this many positional arguments and these keywords."""
    signatures = stored()["signatures"] if signatures is None else signatures
    if name not in signatures:
        raise TypeError(f"CuPy has no {name}")
    try:
        as_signature(signatures[name]).bind(*range(positional), **dict.fromkeys(keywords))
    except TypeError as error:
        raise TypeError(f"CuPy's {name}({signatures[name]}) does not take this call: {error}") from None


@functools.cache
def as_signature(text):
    """The text of the table as an inspect.Signature."""
    P = inspect.Parameter
    tokens = text.split()
    kind = P.POSITIONAL_ONLY if "/" in tokens else P.POSITIONAL_OR_KEYWORD
    parameters = []
    for token in tokens:
        if token == "/":
            kind = P.POSITIONAL_OR_KEYWORD
        elif token == "*":
            kind = P.KEYWORD_ONLY
        elif token.startswith("**"):
            parameters.append(P(token[2:], P.VAR_KEYWORD))
        elif token.startswith("*"):
            parameters.append(P(token[1:], P.VAR_POSITIONAL))
            kind = P.KEYWORD_ONLY
        else:
            parameters.append(P(token.rstrip("="), kind, default=None if token.endswith("=") else P.empty))
    return inspect.Signature(parameters)


def from_cupy(cupy):
    """{name: text} of every function of an imported CuPy that NumPy's protocols can reach, and of ndarray's methods."""
    found = {name: _text(value) for name, value in _functions(cupy)}
    for part in SUBMODULES:
        found |= {f"{part}.{name}": _text(value) for name, value in _functions(getattr(cupy, part))}
    methods = {name: value for name, value in inspect.getmembers(cupy.ndarray, callable) if not name.startswith("_")}
    found |= {METHOD + name: _text(value) for name, value in methods.items()}
    return {name: text for name, text in sorted(found.items()) if text is not None}


def _functions(module):
    """Public functions and ufuncs of a module; what is NumPy's own is not reached through NumPy's protocols."""
    import numpy
    for name, value in inspect.getmembers(module, callable):
        if not name.startswith("_") and not inspect.isclass(value) and value is not getattr(numpy, name, None):
            yield name, value


def _text(function):
    """A callable's arguments in the table's notation, or None where it tells nothing."""
    try:
        return _from_signature(inspect.signature(function))
    except (ValueError, TypeError):
        # Ufuncs and compiled methods give their signature in the first line of the docstring.
        first_line = (function.__doc__ or "").strip().split("\n")[0].replace("\\", "")
        match = re.match(r"[\w.]+\((.*)\)(?: ->.*)?$", first_line)
        return None if match is None else _from_line(match[1])


def _from_signature(signature):
    P, tokens, previous = inspect.Parameter, [], None
    for p in signature.parameters.values():
        if previous == P.POSITIONAL_ONLY and p.kind != P.POSITIONAL_ONLY:
            tokens.append("/")
        if p.kind == P.KEYWORD_ONLY and previous not in (P.KEYWORD_ONLY, P.VAR_POSITIONAL):
            tokens.append("*")
        stars = {P.VAR_POSITIONAL: "*", P.VAR_KEYWORD: "**"}.get(p.kind, "")
        tokens.append(stars + p.name + ("=" if p.default is not P.empty else ""))
        previous = p.kind
    return " ".join(tokens + ["/"] * (previous == P.POSITIONAL_ONLY))


def _from_line(line):
    """"self, Py_ssize_t axis1, axis=None" -> "axis1 axis=": without self, types and the defaults' values."""
    # What stands in [brackets], as in "divmod(x1, x2[, out1, out2], / …)", is optional.
    line = re.sub(r"\[([^\]]*)\]", lambda match: re.sub(r"(\w+)(?=,|$)", r"\1=", match[1]), line)
    arguments = [a.strip() for a in re.sub(r"\([^()]*\)", "()", line).split(",")]
    tokens = []
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if name and name != "self":
            tokens.append(name.split()[-1] + equals)
    return " ".join(tokens)


def main():
    """Write the table from the CuPy that is installed."""
    import cupy
    table = {"cupy": cupy.__version__, "signatures": from_cupy(cupy)}
    TABLE.write_text(json.dumps(table, indent=0) + "\n", "utf-8")
    print(f"{len(table['signatures'])} signatures of CuPy {cupy.__version__}: {TABLE}")


if __name__ == "__main__":
    main()
