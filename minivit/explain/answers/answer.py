"""From logits to an answer and back to a gradient: scores, probabilities, and predicted minus wanted."""

import matplotlib.pyplot as plt
import numpy as np

from ... import loss, softmax
from ..style import COLOURS, FAINT, WIDTH, styled


def answer(logits, target):
    """(probabilities, gradient): softmax(logits), and that of the cross-entropy with respect to the logits.

    logits: (K,). target: the true class, or probabilities (K,). Returns two arrays (K,).
    """
    labels = np.asarray(target)[None]
    _, cache = loss.forward(logits[None], labels)
    return softmax.forward(logits)[0], loss.backward(cache)[0]


@styled
def answer_figure(logits, target, names):
    """Three bar charts over the classes: the logits, the probabilities in %, and the gradient, predicted minus wanted.

    logits: (K,). target: the true class; it is orange. names: of the K classes. Returns a figure.
    """
    probabilities, gradient = answer(logits, target)
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 0.3 * len(names) + 1.1), sharey=True)
    colours = [COLOURS[1] if k == target else COLOURS[0] for k in range(len(names))]
    for ax, values, title, label in ((axes[0], logits, "logits", "score"),
                                     (axes[1], 100 * probabilities, "softmax: probabilities", "%"),
                                     (axes[2], gradient, f"gradient, if {names[target]} is wanted", "dL/dlogit")):
        ax.barh(list(names), values, color=colours)
        ax.axvline(0, color=FAINT, linewidth=0.8)
        ax.set(title=title, xlabel=label)
    axes[1].set_xlim(0, 100)
    axes[2].set_xlim(-1, 1)
    axes[0].invert_yaxis()
    return figure
