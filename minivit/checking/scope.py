"""Where a cause holds: in which steps and layers, when it would change others that are right."""

from .evidence import kind_of, layer_of


def elsewhere(candidate, explained, changed):
    """How many right steps a candidate would change that it could not leave alone."""
    kinds = {kind_of(name) for name in explained}
    return sum(kind_of(name) in kinds or not getattr(candidate, "apart", False) for name in changed)


def scope_of(explained, changed):
    """" (layer 1)", where a cause holds for some steps and would change others that are right."""
    if not changed:
        return ""
    kinds = {kind_of(name) for name in explained}
    layers = sorted({layer_of(name) for name in explained if layer_of(name) is not None})
    parts = []
    if any(kind_of(name) not in kinds for name in changed):
        parts.append("in " + ", ".join(dict.fromkeys(kind_of(name) for name in explained)) + " alone")
    if layers and any(kind_of(name) in kinds and layer_of(name) not in layers for name in changed):
        parts.append(f"in layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))} alone")
    return f" ({', '.join(parts)})" if parts else ""
