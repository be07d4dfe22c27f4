"""Every place in a module's tree where an expression or a statement hangs, so that another can be put there."""

import ast


class Place:
    """Where a node hangs: a field of its parent, or an item of a field that is a list."""

    def __init__(self, parent, field, index=None):
        self.parent, self.field, self.index = parent, field, index

    def get(self):
        value = getattr(self.parent, self.field)
        return value if self.index is None else value[self.index]

    def set(self, node):
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node

    def line(self):
        return getattr(self.get(), "lineno", getattr(self.parent, "lineno", "?"))


class Named(Place):
    """A parameter with its default, or a keyword of a call, as if it were `name = value`."""

    def __init__(self, owner, name, values):
        self.owner, self.name, self.values = owner, name, values

    def get(self):
        return ast.Assign([ast.Name(self.name)], self.values.get())

    def set(self, node):
        self.values.set(node.value)

    def line(self):
        return self.values.line()

    def at(self):
        """The value's node in the tree."""
        return self.values.get()


def places(tree):
    """Every Place, and every default and keyword as a Named one."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            for index, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(item, (ast.expr, ast.stmt)):
                    yield Place(parent, field, index)
        if isinstance(parent, ast.keyword):
            yield Named(parent, parent.arg, Place(parent, "value"))
        if isinstance(parent, ast.arguments):
            first = len(parent.posonlyargs + parent.args) - len(parent.defaults)
            for i, a in enumerate((parent.posonlyargs + parent.args)[first:]):
                yield Named(parent, a.arg, Place(parent, "defaults", i))
            for i, a in enumerate(parent.kwonlyargs):
                if parent.kw_defaults[i] is not None:
                    yield Named(parent, a.arg, Place(parent, "kw_defaults", i))


def scope(tree, within):
    """The function or class of that name, "name" or "Class.name"; the whole tree for None. Raises ValueError."""
    for name in within.split(".") if within else ():
        kinds = (ast.FunctionDef, ast.ClassDef)
        tree = next((node for node in ast.walk(tree) if isinstance(node, kinds) and node.name == name), None)
        if tree is None:
            raise ValueError(f"no function or class {within}")
    return tree


def lines_that_run(tree, place):
    """The lines of which at least one runs wherever a test can notice what stands at `place`.

    Inside a function, those of its statement. For a default, the function's; outside of functions, those of all.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))]
    node = place.at() if isinstance(place, Named) else place.get()
    holders = [f for f in functions if any(child is node for child in _inside(f))]
    if not holders:
        signed = [f for f in functions if any(child is node for child in ast.walk(f))] or functions
        return {line for f in signed for child in _inside(f) for line in _lines(child)}
    inner = min(holders, key=lambda f: sum(1 for _ in ast.walk(f)))
    statements = [child for child in _inside(inner) if isinstance(child, ast.stmt)
                  and any(other is node for other in ast.walk(child))]
    return _lines(min(statements, key=lambda s: sum(1 for _ in ast.walk(s)), default=node))


def _inside(function):
    """Every node of a function's body."""
    body = function.body if isinstance(function.body, list) else [function.body]
    return [node for part in body for node in ast.walk(part)]


def _lines(node):
    """The lines of a node; of a statement that holds others, those of its head."""
    if not hasattr(node, "lineno"):
        return set()
    body = getattr(node, "body", None)
    last = max(node.lineno, body[0].lineno - 1) if isinstance(body, list) else node.end_lineno
    return set(range(node.lineno, last + 1))
