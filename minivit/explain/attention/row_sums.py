"""Another program's softmax, judged by its rows: do they sum to one, and if not, what stands in the denominator?

    a = exp(s - m) / Z,   m = max s,   Z = Σ exp(s - m)

From a port's scores and weights follows the Z that it divided by. Z - Σ exp(s - m), over exp(-m), is how many scores of
zero it counted along: a score of 0 adds exp(0 - m).
"""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, FAINT, WIDTH, styled


def denominators(scores, weights):
    """(Z of the scores, the Z that the weights were divided by), (..., T) each. scores, weights: (..., T, T)."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e.sum(axis=-1), (e * e).sum(axis=-1) / (e * weights).sum(axis=-1)              # least squares over a row


def extra_zeros(scores, weights):
    """How many scores of zero were counted along in each row, (..., T): whole numbers if that is what happened."""
    right, found = denominators(scores, weights)
    return (found - right) * np.exp(scores.max(axis=-1))


@styled
def row_sums_figure(scores, weights, head):
    """Three looks at one head's weights beside the softmax of its scores. scores, weights: (H, T, T). Returns a figure.

    The quotient of the two for some rows, weight by weight; the sum of each row; the zeros counted along in each row.
    """
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    right = e / e.sum(axis=-1, keepdims=True)
    figure, (quotients, sums, zeros) = plt.subplots(1, 3, figsize=(WIDTH, 3.5))
    for row, colour in zip(range(0, scores.shape[1], max(1, scores.shape[1] // 4)), COLOURS):
        quotients.plot(weights[head, row] / right[head, row], color=colour, label=f"row {row}")
    quotients.axhline(1, color=FAINT, linewidth=1)
    quotients.set(xlabel="column: the token looked at", title="weight of the port / softmax")
    low, high = quotients.get_ylim()
    quotients.set_ylim(low - 0.35 * (high - low))                       # room for the legend, below all lines
    quotients.legend(loc="lower left", ncols=2)
    sums.plot(weights[head].sum(axis=-1), ".", color=COLOURS[1], label="the port")
    sums.plot(right[head].sum(axis=-1), color=FAINT, linewidth=1, label="softmax")
    sums.set(xlabel="row: the token that asks", title="sum of the row")
    sums.legend()
    extra = extra_zeros(scores, weights)[head]
    zeros.plot(extra, ".", color=COLOURS[2])
    zeros.set(xlabel="row: the token that asks", title="(Z of the port − Z) / exp(−max s)",
              ylim=(0, 1.3 * max(1.0, extra.max())))
    return figure
