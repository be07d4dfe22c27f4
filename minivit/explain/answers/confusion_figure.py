"""Which classes a classifier takes for which: accuracy per class, and the confusion matrix."""

import matplotlib.pyplot as plt
import numpy as np

from ...training.evaluation import confusion
from ..style import COLOURS, FAINT, MAGNITUDE, WIDTH, styled


@styled
def confusion_figure(labels, predicted, names):
    """Left: share right of each class in %, a dashed line at the mean. Right: rows true, columns said, in %.

    labels, predicted: (n,). names: of the K classes. The diagonal is left blank, so that colour is for the mistakes.
    Returns a figure.
    """
    shares = confusion(np.asarray(labels, int), np.asarray(predicted, int), len(names))
    shares = shares / shares.sum(axis=1, keepdims=True) * 100                            # % of each true class
    right = np.diag(shares)
    mistakes = np.ma.masked_array(shares, np.eye(len(names), dtype=bool))
    figure, (left, matrix) = plt.subplots(1, 2, figsize=(WIDTH, 4.4), width_ratios=(2, 3))
    left.barh(names, right, color=COLOURS[0])
    left.axvline((np.asarray(labels) == np.asarray(predicted)).mean() * 100, color=FAINT, linestyle="--")
    for place, value in enumerate(right):
        left.text(2, place, f"{value:.0f}", ha="left", va="center", color="white")
    left.set(xlim=(0, 100), xlabel="right (%); dashed: all classes together", title="accuracy of each class")
    left.invert_yaxis()
    shown = matrix.imshow(mistakes, cmap=MAGNITUDE, vmin=0)
    middle = mistakes.max() / 2
    for row, column in np.ndindex(shares.shape):
        if row != column and shares[row, column] >= 1:
            matrix.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=9,
                        color="black" if shares[row, column] > middle else "white")
    matrix.set_xticks(range(len(names)), names, rotation=45, ha="right")
    matrix.set_yticks(range(len(names)), names)
    matrix.set(xlabel="said", ylabel="true", title="mistakes, in % of the true class")
    figure.colorbar(shown, ax=matrix, label="% of the true class")
    return figure
