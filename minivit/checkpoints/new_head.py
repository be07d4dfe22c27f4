"""Another head than the weights' own: none, or one of zeros for other classes (ViT paper, section 3.2).

    logits = y W + b with W = 0 and b = 0

So every class begins with the probability 1/K whatever the image, and no gradient reaches the layers at the first
step: dy = dlogits Wᵀ = 0. Random numbers in W would send a random one.
"""

from dataclasses import replace

import numpy as np

from ..model import VisionTransformer


def zeros(width, num_classes, dtype):
    """A head's params: weight (D, K) and bias (K,)."""
    return {"weight": np.zeros((width, num_classes), dtype), "bias": np.zeros(num_classes, dtype)}


def zero_heads(config, dtype):
    """The heads of a config: {"head": …}, and "head_dist" where there are two."""
    names = ("head", "head_dist") if config.pool == "distilled" else ("head",)
    return {name: zeros(config.width, config.num_classes, dtype) for name in names}


def left_out(places, found, wanted):
    """(the places without the head's, {its tensors' names: why}) where `wanted` classes are not the `found` ones.

    wanted: None for those that there are, 0 for no head.
    """
    if wanted is None or wanted == found:
        return places, {}
    why = f"the head for {found} classes gives way to one of zeros for {wanted}" if wanted else "no head was asked for"
    head = [ours for ours in places if ours.startswith(("head.", "head_dist."))]
    return ({ours: theirs for ours, theirs in places.items() if ours not in head},
            {theirs: why for ours in head for theirs in places[ours]})


def for_classes(model, classes):
    """(the model with these classes, what became of its head in one sentence). A model that has them stays, with None.

    Only names tell that classes are the same: a head for as many without names, or in another order, is replaced too.
    """
    if model.labels == list(classes):
        return model, None
    K = len(classes)
    config = replace(model.config, num_classes=K)
    fitted = VisionTransformer(config, model.params | zero_heads(config, model.dtype), labels=classes,
                               preprocessing=model.preprocessing, name=model.name, origin=model.origin)
    found, wanted = _named(model.config.num_classes, model.labels), _named(K, classes)
    name = model.name or "the model"
    return fitted, (f"{name}: its head for {found} gives way to one of zeros for {wanted}" if model.config.num_classes
                    else f"{name} has no head and gets one of zeros for {wanted}")


def _named(count, labels):
    """"10 classes (airplane, automobile, bird, …)"."""
    if labels is None:
        return f"{count} classes without names"
    return f"{count} classes ({', '.join(labels[:3])}{', …' if count > 3 else ''})"
