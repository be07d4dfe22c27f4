"""The step has the weights of another layer or section, or weights that no other step has."""

import numpy as np

from ...head import norm_name
from ..places import SECTION
from ..variations.changes import in_blocks
from .guess import Guess

NORMS = ("norm1", "norm2", "norm", "norm_pre", "pool.norm")


def of_place(place):
    """Another layer's weights, in the whole layer or in this section; another norm's."""
    blocks = place.model.params["blocks"]
    if place.layer is not None and place.kind in SECTION:
        i, section = place.layer, SECTION[place.kind]
        kinds = tuple(SECTION)
        for j in (j for j in range(len(blocks)) if j != i):
            yield from _shifted(i, j, len(blocks), kinds)
            yield Guess(f"layer {i} has the weights of layer {j}", kinds,
                        lambda p, i=i, j=j: p.under(_whole(i, j)) if p.layer == i else p.ours)
            yield Guess(f"layer {i}'s {'.'.join(section)} has the weights of layer {j}'s", kinds,
                        lambda p, i=i, j=j: p.under(_one(i, j, section)) if p.layer == i else p.ours)
    if place.kind in NORMS:
        yield from _fitted_norm(place)


def _shifted(i, j, count, kinds):
    """The orders of layers in which layer i has the weights of layer j."""
    orders = {f"the weights of layers {i} and {j} are swapped": {i: j, j: i}}
    if j == i + 1 < count - 1:
        orders[f"layer {i} is left out: from there on each layer has the next one's weights"] = \
            {k: min(k + 1, count - 1) for k in range(i, count)}
    if j == i - 1 and i < count - 1:
        orders[f"layer {j} stands twice: from layer {i} on each layer has the weights of the one before"] = \
            {k: k - 1 for k in range(i, count)}
    for words, order in orders.items():
        yield Guess(words, kinds, lambda p, order=order: p.under(in_blocks(lambda blocks, k: blocks[order.get(k, k)]))
                    if p.layer in order else p.ours)


def _whole(i, j):
    return in_blocks(lambda blocks, k: blocks[j] if k == i else blocks[k])


def _one(i, j, section):
    def changed(blocks, k):
        if k != i:
            return blocks[k]
        if len(section) == 1:
            return {**blocks[i], section[0]: blocks[j][section[0]]}
        return {**blocks[i], section[0]: {**blocks[i][section[0]], section[1]: blocks[j][section[0]][section[1]]}}
    return in_blocks(changed)


def _fitted_norm(place):
    """Weight and bias as theirs shows them, feature by feature; told where they are the parameters of another norm."""
    params, theirs = place.params, place.theirs.reshape(-1, place.theirs.shape[-1])
    if params is None or place.ours.shape != place.theirs.shape or len(theirs) < 3 or not np.isfinite(theirs).all():
        return
    with np.errstate(all="ignore"):
        normal = (place.ours.reshape(theirs.shape) - params["bias"]) / params["weight"]
    if not np.isfinite(normal).all():
        return
    centred = normal - normal.mean(axis=0)
    weight = (centred * theirs).sum(axis=0) / (centred * centred).sum(axis=0)
    bias = theirs.mean(axis=0) - weight * normal.mean(axis=0)
    if not place.fits((weight * normal + bias).reshape(place.theirs.shape)):
        return
    others = {f"layer {i}'s {name}": block[name] for i, block in enumerate(place.model.params["blocks"])
              for name in ("norm1", "norm2")}
    others["the final norm"] = place.model.params[norm_name(place.model.config.pool)]
    if "norm_pre" in place.model.params:
        others["the norm before the layers"] = place.model.params["norm_pre"]
    same = {part: [words for words, norm in others.items() if np.allclose(norm[part], found, rtol=1e-4, atol=1e-6)]
            for part, found in (("weight", weight), ("bias", bias))}
    both = [words for words in same["weight"] if words in same["bias"]]
    if both:
        other = others[both[0]]
        yield Guess(f"{place.kind} has the weight and bias of {both[0]}", (place.kind,),
                    lambda p: (p.ours - p.params["bias"]) / p.params["weight"] * other["weight"] + other["bias"])
        return
    parts = [f"the {part} of {words[0]}" if words else f"a {part} that no norm of the model has"
             for part, words in same.items()]
    yield Guess(f"{place.name} is a LayerNorm of its input, but has {' and '.join(parts)}", (place.kind,),
                lambda p: (weight * normal + bias).reshape(p.theirs.shape) if p.name == place.name else p.ours)
