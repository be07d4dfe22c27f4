"""The step is a weighted sum of arrays before it: other terms, or other factors, than minivit's."""

import numpy as np

from ..places import WORDS
from .guess import Guess

SUMS = ("residual1", "output", "embedded", "tokens", "norm1", "norm2", "attended", "mlp", "norm", "representation",
        "norm_pre", "attended_scaled", "mlp_scaled", "pool.attended", "pool.mlp", "logits")
OF_TWO = ("residual1", "output", "logits")


def of_place(place):
    """Sums of what the step reads, with one more term or none, where the reference has the terms."""
    one_head = place.kind == "logits" and len(place.reads) < 2
    if place.kind not in SUMS or one_head or not np.isfinite(place.theirs).all():
        return
    arrays = {WORDS.get(read, read): a for read in place.reads if (a := place.read(read)) is not None}
    terms = {words: a for words, a in (arrays | place.before).items() if a.shape == place.theirs.shape}
    own = [words for words in arrays if words in terms] if place.kind in OF_TWO else []
    others = [words for words in terms if words not in own]
    tried = [own, *([words] for words in others), *([one, words] for one in own for words in others),
             *([*own, words] for words in others)]
    if place.ours.shape == place.theirs.shape and place.kind not in OF_TWO:
        terms = {"minivit's own": place.ours, **terms}
        tried += [["minivit's own", words] for words in others]
    for names in tried:
        if not names:
            continue
        factors = _factors([terms[name] for name in names], place.theirs)
        if factors is None or np.abs(factors).min() < 1e-6:
            continue
        if place.fits(sum(f * terms[name] for f, name in zip(factors, names))):
            expected = " + ".join(own)
            yield Guess(f"{place.kind} is {_told(factors, names)}" + (f" instead of {expected}" if own else ""),
                        (place.kind,), lambda p, names=names, factors=factors: _sum(p, names, factors))


def _sum(place, names, factors):
    terms = place.before | {WORDS.get(read, read): a for read in place.reads if (a := place.read(read)) is not None}
    if "minivit's own" in names:
        terms["minivit's own"] = place.ours
    if any(name not in terms for name in names):
        return None
    return sum(f * terms[name] for f, name in zip(factors, names))


def _factors(arrays, theirs):
    """The factors of the sum that is nearest to theirs, rounded to six digits where that is no further off."""
    columns = np.stack([a.ravel() for a in arrays], axis=1)
    factors, _, rank, _ = np.linalg.lstsq(columns.T @ columns, columns.T @ theirs.ravel(), rcond=1e-13)
    if rank < len(arrays):
        return None
    return np.where(np.abs(factors - np.round(factors, 4)) < 1e-6, np.round(factors, 4), factors)


def _told(factors, names):
    terms = [name if f == 1 else f"−({name})" if f == -1 else f"{f:.6g} × ({name})" for f, name in zip(factors, names)]
    return " + ".join(terms)
