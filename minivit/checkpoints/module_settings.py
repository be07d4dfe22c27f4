"""What a torch module says of itself beside its weights."""

from ..errors import CheckpointError


def gelu_form(activation):
    """"erf" or "tanh" from an activation module. Raises CheckpointError for one that is no GELU."""
    name = type(activation).__name__
    if name in ("GELU", "GELUTanh", "GELUActivation"):
        tanh = name == "GELUTanh" or getattr(activation, "approximate", "none") == "tanh"
        return "tanh" if tanh else "erf"
    raise CheckpointError(f"the module's activation is {name}, expected GELU")
