"""A piece of Python found by its structure, and replaced: names, line breaks and place may change without losing it.

    _1, _2, …    any expression, statement or name; what it stands for comes back under the same name in the replacement
    ...          in a call, all other arguments; as a statement, any statements

Everything else must be as written, spacing, quotes and brackets aside. `name = value` also finds a parameter's default
and a keyword of a call. Comparing trees instead of text also keeps comments and docstrings out of it.
"""

import ast
import copy
import re

from .places import places, scope

WILD = re.compile(r"_\d+")


def replaced(source, old, new, within=None):
    """The source with `new` for `old`, which must stand there exactly once. Raises ValueError.

    within: the function or class to look in, as "name" or "Class.name"; by default everywhere.
    """
    tree = ast.parse(source)
    place, bound = find(tree, old, within)
    place.set(_filled(_parsed(new), bound))
    return ast.unparse(ast.fix_missing_locations(tree))


def find(tree, old, within=None):
    """(the one Place in a module's tree where `old` stands, what its wildcards stand for). Raises ValueError."""
    pattern, found = _parsed(old), []
    for place in places(scope(tree, within)):
        bound = {}
        if _fits(pattern, place.get(), bound):
            found.append((place, bound))
    if len(found) != 1:
        lines = ", ".join(sorted((str(place.line()) for place, _ in found), key=int))
        raise ValueError(f"{old!r} stands {len(found)} times{' in ' + within if within else ''}"
                         f"{f' (lines {lines})' if found else ''}, expected once")
    return found[0]


def _parsed(code):
    """The one expression or statement that code is."""
    (statement,) = ast.parse(code).body
    return statement.value if isinstance(statement, ast.Expr) else statement


def _fits(pattern, node, bound):
    """Whether a node has the pattern's structure; `bound` gets what its wildcards stand for."""
    if isinstance(pattern, ast.Expr) and isinstance(pattern.value, ast.Name) and WILD.fullmatch(pattern.value.id):
        return isinstance(node, ast.stmt) and _bind(pattern.value.id, node, bound)
    if isinstance(pattern, ast.Name) and WILD.fullmatch(pattern.id):
        return isinstance(node, ast.expr) and _bind(pattern.id, node, bound)
    if isinstance(pattern, ast.AST):
        if type(pattern) is not type(node):
            return False
        if isinstance(pattern, ast.Call):
            return _call_fits(pattern, node, bound)
        return all(_fits(getattr(pattern, field, None), getattr(node, field, None), bound)
                   for field in pattern._fields if field not in ("ctx", "type_comment", "kind"))
    if isinstance(pattern, list):
        if isinstance(node, list) and [ast.dump(p) for p in pattern] == [ast.dump(ast.Expr(ast.Constant(...)))]:
            return _bind("...", node, bound)
        return isinstance(node, list) and len(pattern) == len(node) and all(
            _fits(p, n, bound) for p, n in zip(pattern, node))
    return type(pattern) is type(node) and pattern == node


def _call_fits(pattern, node, bound):
    """Arguments in their order, keywords in any; with `...` there may be more of both."""
    if not _fits(pattern.func, node.func, bound):
        return False
    wanted = [a for a in pattern.args if not _is_rest(a)]
    keywords = {k.arg: k for k in node.keywords}
    names = {k.arg for k in pattern.keywords}
    rest = (node.args[len(wanted):], [k for k in node.keywords if k.arg not in names])
    if len(wanted) < len(pattern.args):
        _bind("...", rest, bound)
    elif rest != ([], []):
        return False
    return len(node.args) >= len(wanted) and all(_fits(p, n, bound) for p, n in zip(wanted, node.args)) and all(
        k.arg in keywords and _fits(k.value, keywords[k.arg].value, bound) for k in pattern.keywords)


def _is_rest(node):
    return isinstance(node, ast.Constant) and node.value is ...


def _bind(name, node, bound):
    """A wildcard that stands twice must stand for the same."""
    if name in bound and name != "...":
        return ast.unparse(bound[name]) == ast.unparse(node)
    bound[name] = node
    return True


def _filled(node, bound):
    """The replacement with what the wildcards stood for."""
    class Fill(ast.NodeTransformer):
        def visit_Name(self, name):
            return copy.deepcopy(bound[name.id]) if WILD.fullmatch(name.id) else name

        def visit_Expr(self, statement):
            if _is_rest(statement.value) and "..." in bound:
                return copy.deepcopy(bound["..."])
            return self.generic_visit(statement)

        def visit_Call(self, call):
            if any(_is_rest(a) for a in call.args) and "..." in bound:
                args, keywords = copy.deepcopy(bound["..."])
                call.args = [a for a in call.args if not _is_rest(a)] + args
                call.keywords += keywords
            return self.generic_visit(call)

    return Fill().visit(node)
