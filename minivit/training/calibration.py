"""How far the probabilities of a classifier can be believed: the expected calibration error, and one temperature.

A model is calibrated where, of all answers that it gives with 80 % confidence, 80 % are right (Guo et al. 2017, arXiv
1706.04599). Temperature scaling divides its logits by one number τ, which changes its confidence and not its answers:

    p = softmax(s / τ)

τ is fitted on images that the model was not trained on, and the result is measured on others again.
"""

import numpy as np

from .. import loss
from ..ranges import real, whole
from ..trees import tree_map

LOWEST, HIGHEST = 1e-30, 1e30                   # temperatures with which a head still fits float32


def expected_calibration_error(probabilities, labels, bins=15):
    """The mean gap between confidence and accuracy (Naeini et al. 2015; Guo et al. 2017, equation 3).

        ECE = Σ_m |B_m| / n · |acc(B_m) - conf(B_m)|

    The confidence of an answer is its probability, the largest of its row. B_m are the answers whose confidence is
    above (m - 1) / M and at most m / M, acc(B_m) the share of them that are right and conf(B_m) their mean confidence.
    probabilities: (n, K). labels: classes (n,). bins: M. Raises ValueError.
    """
    p, labels = _checked("probabilities", probabilities, labels)
    if not ((0 <= p) & (p <= 1)).all():
        raise ValueError("probabilities are numbers from 0 to 1, found others: logits become probabilities by softmax")
    whole("bins", bins, 1, 10 ** 6)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels                         # (n,)
    m = np.searchsorted(np.arange(1, bins) / bins, confidence)                            # (n,), from 0
    # |B| · |acc - conf| is the absolute sum of right - confidence over B, with no division by an empty bin's 0.
    return float(np.abs(np.bincount(m, right - confidence)).sum() / len(p))


def fitted_temperature(logits, labels):
    """The τ > 0 with the smallest mean cross-entropy of softmax(logits / τ). logits: (n, K). labels: classes (n,).

    With β = 1/τ, s_k an image's logits, s_y that of its label and p = softmax(βs), the loss and its derivatives are

        f(β)   = mean(log Σ_k exp(β s_k) - β s_y)
        f'(β)  = mean(Σ_k p_k s_k - s_y)
        f''(β) = mean(Σ_k p_k s_k² - (Σ_k p_k s_k)²) ≥ 0,   the variance of s under p

    so f is convex in β, and f' rises from mean(mean_k s_k - s_y) at β = 0 towards mean(max_k s_k - s_y). A minimum lies
    between where the first is below 0 and the second above: bisection of f' finds it. Otherwise there is none, and
    ValueError says so: the labels' logits are no larger than the others, so that τ would grow without end; or no label
    has a smaller logit than another class, so that τ would shrink to 0.
    """
    s, labels = _checked("logits", logits, labels)
    s = s - s.max(axis=1, keepdims=True)                                                  # p stays, exp cannot overflow
    s_y = np.take_along_axis(s, labels[:, None], axis=1)[:, 0]                            # (n,)

    def slope(beta):
        return ((np.exp(loss.log_softmax(beta * s)) * s).sum(axis=1) - s_y).mean()

    if slope(0.0) >= 0:
        raise ValueError("no temperature fits: the labels' logits are on average no larger than those of all classes")
    if (s_y == 0).all():
        raise ValueError("no temperature fits: every label has the largest logit, so the lower the better; "
                         "give images of which some are named wrongly")
    low = 1.0
    while slope(low) >= 0:
        low /= 2
    while slope(2 * low) < 0:
        low *= 2
    high = 2 * low
    while low < (middle := (low + high) / 2) < high:                # until no number lies between: 52 halvings
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / middle


def calibrated(model, tau):
    """The model whose logits are those of `model` divided by τ: its head's weight and bias are, both heads' where
    there are two. Its answers stay, but where logits are as close as rounding. Raises ValueError.
    """
    tau = real("tau", tau, LOWEST, HIGHEST)
    heads = {name: model.params[name] for name in ("head", "head_dist") if name in model.params}
    if not heads:
        raise ValueError("the model has no head whose logits a temperature could divide: give one with classes")
    return model.with_params({**model.params, **tree_map(lambda a: a / tau, heads)})


def _checked(name, scores, labels):
    """(scores in float64, labels), both arrays. Raises ValueError where they do not fit or are not finite."""
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not scores.size:
        raise ValueError(f"{name} (n, K) and labels (n,) were expected, of at least one image, found shapes "
                         f"{scores.shape} and {labels.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} are finite, found NaN or infinity")
    loss.as_probabilities(labels, scores)                           # raises for labels that are no classes
    return scores, labels
