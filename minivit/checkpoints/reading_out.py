"""Which read-outs of a source minivit has, and by what name the others are refused.

A plain ViT here reads [CLS] after its final norm, or normalises the mean over the patches (timm's fc_norm).
"""

from ..errors import CheckpointError

OTHERS = {
    "max": "the largest value over its patches",
    "avgmax": "half the mean and half the largest value over its patches",
    "map": "attention pooling, as in SigLIP",
    "prr": "attention pooling",
    "": "no pooling: it scores every token",
}
ADVICE = "minivit reads [CLS], or the mean over the patches before the final norm"


def pool_of(label, global_pool, fc_norm, class_token, include_prefix=False):
    """minivit's pool, "cls" or "mean", for timm's settings. Raises CheckpointError for what minivit does not have.

    fc_norm: whether the final norm comes after the pooling; for [CLS], one token, the order makes no difference.
    """
    pool = {True: "avg", False: "token", None: "token"}.get(global_pool, global_pool)    # MAE's code has a truth value
    if pool == "token" and class_token:
        return "cls"
    if pool == "avg" and fc_norm and not (include_prefix and class_token):
        return "mean"
    if pool == "avg":
        what = "the mean over all tokens, [CLS] among them" if fc_norm else "the mean after its final norm"
    else:
        what = OTHERS.get(pool, f"global_pool {str(pool)[:40]!r}")
    raise CheckpointError(f"{label} is read out by {what}: {ADVICE}")


def pool_of_tensors(source, places, wanted=None):
    """The pool that the final norm's name tells, where nothing else does. wanted: the caller's."""
    class_token, fc_norm = "cls_token" in places, "fc_norm.weight" in places
    if not class_token and not fc_norm:
        raise CheckpointError(f"{source.label} has no [CLS] token, and its final norm comes before the read-out: it is "
                              f"read out by the mean after its final norm, or by attention pooling: {ADVICE}")
    if wanted == "mean" and not fc_norm:
        raise CheckpointError(f"{source.label}: its final norm comes before the read-out, so that pool=\"mean\" would "
                              f"be the mean after its final norm: {ADVICE}")
    if fc_norm and class_token and wanted is None:
        source.assumed.append('pool="mean", as the norm called fc_norm suggests')
    return wanted or ("mean" if fc_norm else "cls")


def with_norm(places, pool):
    """The places with the final norm under the name that minivit has for it under this pool."""
    ours, other = ("norm", "fc_norm") if pool == "cls" else ("fc_norm", "norm")
    if f"{ours}.weight" in places:
        return places
    return {name.replace(f"{other}.", f"{ours}.", 1) if name.startswith(f"{other}.") else name: theirs
            for name, theirs in places.items()}
