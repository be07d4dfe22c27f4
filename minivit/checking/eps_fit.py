"""LayerNorm's eps from what norms were given and made of it, with the error of the estimate: rounding may hide it.

With ours y = x̂ w + b at our eps and theirs at eps', (y − b) is √((var + eps') / (var + eps)) times (y' − b): each
token's ratio of lengths tells eps'. Its mean over all tokens is as sure as the tokens agree on it.
"""

from dataclasses import replace

import numpy as np

from . import variations
from .places import Place

STANDARD = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12)


def of_norms(evidence, names):
    """The Variation with the eps that the norms `names` show, its cause without a number where rounding hides it.

    None where the norms show no other eps than the model's, or nothing.
    """
    places = [Place(evidence, name) for name in names if evidence.is_direct(name)]
    estimates, weights = [], []
    for place in places:
        if place.ours.shape == place.theirs.shape and np.isfinite(place.theirs).all():
            eps, weight = _of_tokens(place)
            estimates.append(eps)
            weights.append(weight)
    if not estimates:
        return None
    eps, weight = np.concatenate(estimates), np.concatenate(weights)
    if not np.isfinite(eps).all():
        return None
    # Tokens of small variance show eps best: the relative error of the ratio is alike for all. Where one token has
    # nearly all of the weight it agrees with itself, so the error is no smaller than what all tokens together show.
    mean = float((weight * eps).sum() / weight.sum())
    apart = weight * (eps - mean) ** 2
    error = float(max(np.sqrt((weight * apart).sum()) / weight.sum(),
                      np.sqrt(apart.sum() / max(1, len(eps) - 1) / weight.sum())))
    own = evidence.model.config.layer_norm_eps
    reach = 4 * error + 1e-4 * abs(mean)
    if abs(mean - own) <= reach or mean >= 1:
        return None
    near = [e for e in STANDARD if abs(e - mean) <= max(reach, 1e-4 * e)]
    if len(near) == 1:
        return variations.eps_variation(evidence.model, near[0])
    if not near:
        return variations.eps_variation(evidence.model, mean) if mean > reach else None
    return unnamed(evidence.model, max(mean, near[-1]))


def unnamed(model, eps):
    """A Variation of eps whose number rounding hides."""
    own = model.config.layer_norm_eps
    side = "below" if eps < own else "above"
    return replace(variations.eps_variation(model, eps),
                   cause=f"LayerNorm's eps is {side} {own:.4g}, the model's; rounding hides how far {side}")


def _of_tokens(place):
    """(eps', weight) as each token shows them."""
    bias, own = place.params["bias"], place.model.config.layer_norm_eps
    ours, theirs = place.ours - bias, place.theirs - bias
    x = place.read(place.reads[0])
    if x.ndim == 3 and ours.ndim == 2:
        x = x[:, place.model.config.first_pooled:].mean(axis=1)
    variance = x.var(axis=-1)
    ratio = (ours * theirs).sum(axis=-1) / np.maximum((ours * ours).sum(axis=-1), 1e-300)
    with np.errstate(divide="ignore"):
        eps = (variance + own) / ratio ** 2 - variance
    return eps.ravel(), (variance + own).ravel() ** -2.0
