"""What a torch module says of itself beside its weights, and what in it would compute something else.

A norm, an attention or a layer of another kind may have the very names and shapes of a plain ViT's, so the classes are
looked at too.
"""

from ..errors import CheckpointError

LINEAR_HEADS = ("Linear", "NonDynamicallyQuantizableLinear", "Dropout", "Identity")


def gelu_form(activation):
    """"erf", "tanh" or "quick" from an activation module. Raises CheckpointError for one that is no GELU."""
    name = type(activation).__name__
    if name in ("QuickGELU", "QuickGELUActivation"):
        return "quick"
    if name in ("GELU", "GELUTanh", "GELUActivation"):
        tanh = name == "GELUTanh" or getattr(activation, "approximate", "none") == "tanh"
        return "tanh" if tanh else "erf"
    raise CheckpointError(f"the module's activation is {name}, expected GELU")


def same_eps(norms):
    """The eps that all these norms have. Raises CheckpointError for a norm of another kind, or two eps."""
    other = next((norm for norm in norms if "LayerNorm" not in type(norm).__name__), None)
    if other is not None:
        raise CheckpointError(f"the module's norm is {type(other).__name__}, expected LayerNorm")
    eps = sorted({norm.eps for norm in norms})
    if len(eps) != 1:
        raise CheckpointError(f"the module's norms have eps {' and '.join(map(str, eps))}; minivit has one for all")
    return eps[0]


def same(values, what):
    """The one value that all layers have. Raises CheckpointError."""
    found = sorted(set(values), key=str)
    if len(found) != 1:
        raise CheckpointError(f"the module's layers differ in {what}: {' and '.join(map(str, found))}")
    return found[0]


def check_head(head):
    """Raises CheckpointError for a head that does more than a linear map, though its only weights are one."""
    parts = list(head) if type(head).__name__ == "Sequential" else [head]
    weighted = [part for part in parts if any(True for _ in part.parameters())]
    if len(weighted) > 1:
        return                          # several layers: their names tell, and the model ends before them
    odd = [type(part).__name__ for part in parts if type(part).__name__ not in LINEAR_HEADS]
    if odd and not weighted:
        raise CheckpointError(f"the module's head is {odd[0]}, expected a linear map or none")
    if odd:
        raise CheckpointError(f"the module's head has a {odd[0]} beside its linear map, which a plain ViT has not")
