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


def all_gated(mlps, wide=False):
    """Whether the MLPs of a timm module are SwiGLU's, as DINOv2's giant has them. Raises CheckpointError for others.

    wide: whether the tensors show gates, fc1 making twice the features that fc2 reads.
    """
    if not wide and not any(type(mlp).__name__ == "GluMlp" for mlp in mlps):
        return False
    check_swiglu(mlps, "GluMlp")
    return True


def check_swiglu(mlps, name=None):
    """Raises CheckpointError for a gated MLP of another class than name, another activation, or the gate last."""
    for mlp in mlps:
        found, act, last = type(mlp).__name__, getattr(mlp, "act", None), bool(getattr(mlp, "gate_last", False))
        if found != (name or found) or last or (act is not None and type(act).__name__ != "SiLU"):
            what = f"{found}{'' if act is None else f' with {type(act).__name__}'}{', the gate last' * last}"
            raise CheckpointError(f"the module has a gated MLP {what}: expected SwiGLU in all layers, the gate first")


def check_scale(attentions, d):
    """Raises CheckpointError for an attention whose scores are not divided by √d; d: features a head."""
    for attention in attentions:
        scale = getattr(attention, "scale", None)
        if isinstance(scale, float) and abs(scale * d ** 0.5 - 1) > 1e-6:
            raise CheckpointError(f"the module scales its scores by {scale:.6g}, expected 1/√d")


def check_pooling(pooling, heads, gelu):
    """Raises CheckpointError for attention pooling with other heads or another GELU than the layers'."""
    if pooling.num_heads != heads:
        raise CheckpointError(f"the module's attention pooling has {pooling.num_heads} heads, its layers {heads}; "
                              "minivit has one number for both")
    if gelu_form(pooling.mlp.act) != gelu:
        raise CheckpointError(f"the module's attention pooling has GELU in its {gelu_form(pooling.mlp.act)} form, its "
                              f"layers in the {gelu} form; minivit has one for both")


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
