"""Where no cause is known: what a step's input and output show, and how to go on."""

import numpy as np

HOW = {"patches": "cut one image by hand and print the first patch",
       "patch_embedding": "multiply one patch by the kernel by hand: patches @ weight + bias",
       "tokens": "print token 0 and token 1 beside cls_token and patch 0",
       "embedded": "subtract the tokens from it: what is left should be pos_embed",
       "norm1": "take one token: subtract its mean, divide by √(var + eps), then weight and bias",
       "query": "multiply one token of norm1 by the query's third of qkv.weight, and split it into heads",
       "scores": "take one query and one key: their product, over √d",
       "attention": "take one row of scores: exp, and divide by its sum",
       "attended": "take attention @ value of one token, its heads side by side, and multiply by proj.weight",
       "residual1": "subtract the layer's input: what is left should be attended",
       "hidden": "take norm2 of one token times fc1.weight plus bias, and look at the activation of one number",
       "mlp": "multiply one token of hidden by fc2.weight and add the bias",
       "output": "subtract residual1: what is left should be mlp", "representation": "look for it among norm's tokens",
       "logits": "multiply the representation by head.weight and add the bias", "probabilities": "take exp and divide"}
HOW |= {"norm2": HOW["norm1"], "norm": HOW["norm1"], "key": HOW["query"], "value": HOW["query"],
        "norm_pre": HOW["norm1"], "pool.norm": HOW["norm1"], "pool.scores": HOW["scores"],
        "pool.attention": HOW["attention"],
        "attended_scaled": "divide it by attended: what is left should be ls1.gamma",
        "mlp_scaled": "divide it by mlp: what is left should be ls2.gamma",
        "pool.query": "multiply the latent by q.weight and add the bias: it is the same for every image",
        "pool.key": "multiply one normed token by the first half of kv.weight, and split it into heads",
        "pool.value": "multiply one normed token by the second half of kv.weight, and split it into heads",
        "pool.attended": "take attention @ value, the heads side by side, and multiply by proj.weight"}
AXES = {2: ("image", "feature"), 3: ("image", "token", "feature"), 4: ("image", "head", "token", "feature")}


def of_place(place):
    """Lines: what is seen of the first wrong step, and what to do by hand."""
    reads = place.evidence.inputs(place.name)
    lacking = [name for name in reads if name not in (*place.evidence.given, "pixels", "patches")]
    seen = _seen(place.ours, place.theirs)
    told = f"what {place.name} shows: {seen}"
    if lacking:
        return (f"{told}\nto go on: give {', '.join(lacking)} as well, which the reference lacks: whether this step is "
                "wrong or one before it cannot be told without")
    known = [name for name in reads if name in place.evidence.given]
    source = f"; it reads {', '.join(known)}, which the reference has" if known else ""
    return f"{told}{source}\nto go on: {HOW.get(place.kind, 'print the first numbers of both sides')}"


def _seen(ours, theirs):
    """The first of these that holds: shape, not finite, constant, order, scale, offset, affine, in part, random."""
    if ours.shape != theirs.shape:
        turned = "" if ours.size != theirs.size else ", as many numbers: an axis is moved or two are joined"
        return f"it has the shape {theirs.shape}, minivit's {ours.shape}{turned}"
    bad = ~np.isfinite(theirs)
    if bad.any():
        return f"{bad.sum()} of {bad.size} numbers are not finite, the first at {_index(bad)}"
    if np.ptp(theirs) == 0:
        return f"it is {theirs.flat[0]:.4g} everywhere"
    scale = float(np.linalg.norm(theirs))
    size = float(np.linalg.norm(ours - theirs)) / scale
    rest = f"(‖difference‖ / ‖theirs‖ {size:.1e})"
    a, b = np.sort(ours, axis=None), np.sort(theirs, axis=None)
    if np.linalg.norm(a - b) <= 1e-4 * size * scale:
        return f"the same numbers as minivit's in another order {rest}"
    factor = float((ours * theirs).sum() / max(float((ours * ours).sum()), 1e-300))
    if np.linalg.norm(factor * ours - theirs) <= 1e-2 * size * scale:
        return f"it is {factor:.6g} times minivit's {rest}"
    difference = (theirs - ours).reshape(-1, theirs.shape[-1])
    if len(difference) > 1 and np.linalg.norm(difference - difference.mean(axis=0)) <= 1e-2 * size * scale:
        length = np.linalg.norm(difference[0])
        return f"minivit's plus one vector that is the same for all tokens, of length {length:.3g}: another bias, say"
    if (parts := _in_part(ours, theirs)) is not None:
        return parts
    for axis, words in ((-1, "each token"), (0, "each feature")):
        fit = _affine(ours, theirs, axis)
        if fit is not None and np.linalg.norm(fit - theirs) <= 1e-2 * size * scale:
            return f"{words} is minivit's times a number plus a number {rest}"
    if _is_function(ours, theirs, size * scale):
        return f"each number follows from minivit's number alone, as another function of the same input {rest}"
    zeros = float((theirs == 0).mean())
    likeness = float(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])
    told = f"; {zeros:.0%} of its numbers are 0" if zeros > 0.01 else ""
    close = "near to minivit's: a small change of the formula, or rounding" if size < 0.05 else \
        "like minivit's in part: the same input, another formula or other weights" if likeness > 0.3 else \
        "unlike minivit's: other weights, another input or another order"
    return f"{close} {rest[:-1]}, correlation {likeness:.3f}){told}"


def _in_part(ours, theirs):
    """"it differs at token 0 alone", where most of an axis agrees."""
    for axis, name in enumerate(AXES.get(ours.ndim, ())):
        others = tuple(i for i in range(ours.ndim) if i != axis)
        gap = np.sqrt(((ours - theirs) ** 2).sum(axis=others))
        size = np.sqrt((theirs ** 2).sum(axis=others))
        differs = np.flatnonzero(gap > 1e-6 * np.maximum(size, 1e-12) + 1e-6 * gap.max())
        if 0 < len(differs) <= len(gap) // 2:
            named = ", ".join(map(str, differs[:6])) + (", …" if len(differs) > 6 else "")
            return f"it differs at {name} {named} alone, of {len(gap)}: the others agree"
    return None


def _affine(ours, theirs, axis):
    """theirs as a ours + b, one a and b for each token (axis −1) or feature (axis 0)."""
    a, b = (array.reshape(-1, array.shape[-1]) for array in (ours, theirs))
    if a.shape[axis] < 4:
        return None
    mean_a, mean_b = a.mean(axis=axis, keepdims=True), b.mean(axis=axis, keepdims=True)
    slope = ((a - mean_a) * (b - mean_b)).sum(axis=axis, keepdims=True) / np.maximum(
        ((a - mean_a) ** 2).sum(axis=axis, keepdims=True), 1e-300)
    return (slope * (a - mean_a) + mean_b).reshape(theirs.shape)


def _is_function(ours, theirs, difference):
    """Whether theirs, in the order of ours, is a smooth curve: half of the points foretell the other half."""
    if ours.size < 200:
        return False
    order = np.argsort(ours, axis=None)
    a, b = ours.ravel()[order], theirs.ravel()[order]
    foretold = np.interp(a[1:-1:2], a[::2], b[::2])
    return float(np.linalg.norm(foretold - b[1:-1:2])) <= 0.1 * difference


def _index(mask):
    return tuple(int(i) for i in np.argwhere(mask)[0])
