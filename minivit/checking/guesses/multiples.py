"""The step is minivit's times a number, plus a number or a parameter's vector; or with some of its numbers left out."""

import numpy as np

from ...trees import flatten
from .guess import Guess

NAMES = {"scores": "the scores are", "logits": "the logits are", "hidden": "the hidden activations are",
         "attended": "attention's output is", "mlp": "the MLP's output is", "attention": "the attention weights are"}


def of_place(place):
    """Fits of the whole step, where the reference has all that it reads."""
    ours, theirs = place.ours, place.theirs
    if ours.shape != theirs.shape or not np.isfinite(theirs).all() or not place.evidence.is_direct(place.name):
        return
    name = NAMES.get(place.kind, f"{place.kind} is")
    yield from _vectors(place)
    factor = _factor(ours, theirs)
    if place.fits(factor * ours):
        yield Guess(f"{name} {factor:.6g} times minivit's", (place.kind,), lambda p: factor * p.ours)
    if np.ptp(theirs) == 0:
        yield Guess(f"{name} {theirs.flat[0]:.6g} everywhere", (place.kind,),
                    lambda p: np.full_like(p.theirs, theirs.flat[0]))
        return
    slope, offset = np.polyfit(ours.ravel(), theirs.ravel(), 1) if ours.size > 2 else (1.0, 0.0)
    if place.fits(slope * ours + offset):
        yield Guess(f"{name} {slope:.6g} times minivit's plus {offset:.6g}", (place.kind,),
                    lambda p: slope * p.ours + offset)
    yield from _left_out(place)
    yield from _left_out_of_branch(place)


def _factor(a, b):
    """The number c for which c a is nearest to b."""
    return float((a * b).sum() / max(float((a * a).sum()), 1e-300))


def _vectors(place):
    """A parameter's vector added or left out: the difference is the same for every token."""
    difference = (place.theirs - place.ours).reshape(-1, place.theirs.shape[-1])
    if place.kind in ("query", "key", "value", "scores", "attention", "probabilities") or len(difference) == 0:
        return
    mean = difference.mean(axis=0)
    tensors = flatten({k: v for k, v in place.model.params.items() if k != "blocks"})
    if place.layer is not None:
        tensors = flatten(place.model.params["blocks"][place.layer]) | tensors
    for name, vector in tensors.items():
        v = vector.reshape(-1)
        if vector.size != mean.size or not np.any(v):
            continue
        times = _factor(v, mean)
        if abs(times) > 1e-6 and place.fits(place.ours + times * v):
            at = f"blocks.{place.layer}." if place.layer is not None and name not in place.model.params else ""
            own = place.params is not None and any(vector is a for a in place.params.values())
            words = {-1: "is missing", 1: "is added twice" if own else "is added as well", -2: "is subtracted"}.get(
                round(times, 6), f"is added {times:.4g} times" + (" more" if own else ""))
            yield Guess(f"{at}{name} {words}", (place.kind,),
                        lambda p, times=times, name=name: p.ours + times * _vector(p, name))


def _vector(place, name):
    params = place.model.params if place.layer is None else place.model.params["blocks"][place.layer]
    found = flatten({k: v for k, v in params.items() if k != "blocks"})
    found = found if name in found else flatten({k: v for k, v in place.model.params.items() if k != "blocks"})
    return found[name].reshape(-1)


def _masked(ours, theirs):
    """(share of zeros, factor of the rest) where every number of theirs is 0 or one factor times ours, else None."""
    zero = theirs == 0
    if not zero.any() or zero.all() or (zero & (ours == 0)).sum() == zero.sum():
        return None
    factor = _factor(ours[~zero], theirs[~zero])
    same = np.allclose(factor * ours[~zero], theirs[~zero], rtol=1e-5, atol=1e-12)
    return (float(zero.mean()), factor) if same else None


def _left_out(place):
    """Dropout that is active."""
    found = _masked(place.ours, place.theirs)
    if found:
        share, factor = found
        yield Guess(f"dropout is active: {share:.1%} of {place.kind} is 0, the rest {factor:.4g} times minivit's: "
                    "switch to evaluation", (place.kind,), _with_zeros)


def _with_zeros(place):
    found = _masked(place.ours, place.theirs)
    return None if found is None else np.where(place.theirs == 0, 0, found[1] * place.ours)


def _left_out_of_branch(place):
    """Dropout, or stochastic depth, on what a residual adds."""
    if len(place.reads) == 2 and "attention" not in place.reads and place.kind in ("residual1", "output"):
        if _branch_with_zeros(place) is not None:
            yield Guess(f"dropout or stochastic depth is active: part of what {place.kind} adds is 0, the rest larger: "
                        "switch to evaluation", (place.kind,), _branch_with_zeros)


def _branch_with_zeros(place):
    x, branch = (place.read(read) for read in place.reads)
    if x is None or branch is None:
        return None
    rest = place.theirs - x
    rest = np.where(np.abs(rest) <= 1e-9 * np.abs(x).max(), 0, rest)
    found = _masked(branch, rest)
    return None if found is None else x + np.where(rest == 0, 0, found[1] * branch)
