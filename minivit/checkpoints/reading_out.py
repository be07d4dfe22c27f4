"""Which read-outs of a source minivit has, and by what name the others are refused."""

from ..errors import CheckpointError
from ..head import norm_name

OTHERS = {
    "max": "the largest value over its patches",
    "avgmax": "half the mean and half the largest value over its patches",
    "prr": "attention pooling without a latent",
    "": "no pooling: it scores every token",
}
OF_MANY = ("mean", "normed_mean", "map")              # the read-outs of many tokens, which may leave some out
# What relatives have beyond a plain ViT; and the final norm under the names of code that has other read-outs for them.
RELATIVES = ("reg_token", "blocks.0.ls1.gamma", "norm_pre.weight")
OPEN_NORMS = ("norm.weight", "ln_post.weight", "visual.ln_post.weight")
ADVICE = "minivit reads [CLS], [CLS] and a distillation token, the mean over the patches, or attention pooling"


def pool_of(label, global_pool, places):
    """minivit's pool for timm's settings. Raises CheckpointError for what minivit does not have.

    For [CLS], one token, the order of norm and pooling makes no difference; for the mean the norm's name tells it.
    """
    pool = {True: "avg", False: "token", None: "token"}.get(global_pool, global_pool)    # MAE's code has a truth value
    if pool != "avg" and pool != "token" and "fc_norm.weight" in places:
        raise CheckpointError(f"{label} has its final norm after {OTHERS.get(pool, 'attention pooling')}: {ADVICE}, "
                              "the last of normed tokens")
    if pool == "token" and "cls_token" in places:
        if not reads_both(places):
            return "cls"
        if "fc_norm.weight" in places:
            raise CheckpointError(f"{label} has a distillation token and its final norm as fc_norm, which timm's "
                                  "distilled model never applies: expected it as norm")
        return "distilled"
    if pool == "avg":
        return "mean" if "fc_norm.weight" in places else "normed_mean"
    if pool == "map":
        return "map"
    what = OTHERS.get(pool, f"global_pool {str(pool)[:40]!r}")
    raise CheckpointError(f"{label} is read out by {what}: {ADVICE}")


def reads_both(places):
    """Whether timm reads a distillation token beside [CLS]: by a head of its own, or, without heads, as their mean."""
    return "head_dist.weight" in places or ("dist_token" in places and "head.weight" not in places)


def pool_of_tensors(source, places, wanted=None):
    """The pool that the tensors tell, where nothing else does. wanted: the caller's."""
    class_token, fc_norm = "cls_token" in places, "fc_norm.weight" in places
    if "attn_pool.latent" in places or "head_dist.weight" in places:
        pool = "map" if "attn_pool.latent" in places else "distilled"
        if fc_norm:
            raise CheckpointError(f"{source.label}: its final norm, fc_norm, comes after the read-out: {ADVICE}")
        if pool == "map" and source.module is None and (class_token or "reg_token" in places):
            source.assumed.append("that the attention pooling leaves out the tokens before the patches")
        return pool
    if wanted == "mean" and not fc_norm:
        raise CheckpointError(f"{source.label}: its final norm comes before the read-out, so that the mean is that of "
                              "normed tokens: give pool=\"normed_mean\" (on the command line --pool normed_mean)")
    if fc_norm and class_token and wanted is None:
        source.assumed.append('pool="mean", as the norm called fc_norm suggests')
    if not fc_norm and not class_token and wanted is None:
        source.assumed.append('pool="normed_mean", as a model without [CLS] and with its norm before the read-out has')
    relative = places.get("norm.weight", ("",))[0] in OPEN_NORMS and any(name in places for name in RELATIVES)
    if class_token and not fc_norm and wanted is None and relative and source.module is None:
        source.assumed.append('pool="cls", as most models with these tensors have (some have "normed_mean")')
    return wanted or ("mean" if fc_norm else "cls" if class_token else "normed_mean")


def with_norm(places, pool):
    """The places with the final norm under the name that minivit has for it under this pool."""
    ours = norm_name(pool)
    other = "norm" if ours == "fc_norm" else "fc_norm"
    if f"{ours}.weight" in places:
        return places
    return {name.replace(f"{other}.", f"{ours}.", 1) if name.startswith(f"{other}.") else name: theirs
            for name, theirs in places.items()}
