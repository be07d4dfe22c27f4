"""The course of a training run, epoch by epoch: loss, accuracy and learning rate from the rows of its log."""

import csv
import itertools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from ..style import COLOURS, FAINT, WIDTH, styled


def read_log(path):
    """The rows of a log.csv that `minivit train` wrote: [{"epoch": 1.0, "loss": …}], None for an empty field."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: float(field) if field else None for name, field in row.items()} for row in csv.DictReader(file)]


def run_starts(rows):
    """The epochs at which a run began with the weights of the one before: the learning rate, once falling, jumps up."""
    starts, fell = [], False
    for before, row in itertools.pairwise(rows):
        if row["learning_rate"] > before["learning_rate"] and fell:
            starts.append(row["epoch"])
        fell = row["learning_rate"] < before["learning_rate"]
    return starts


@styled
def learning_curves_figure(rows, num_classes, training="training", starts=()):
    """Three panels over the epochs. rows: dicts with epoch, loss, accuracy, held_out_loss, held_out_accuracy,
    learning_rate, and, where the training images were also looked at as they are, clean_loss and clean_accuracy.

    num_classes: for the dotted lines of guessing, ln K nats and 1/K. training: label of the images trained on.
    starts: epochs with which a new run begins, marked by a line. Returns a figure.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(WIDTH, 3.4), width_ratios=(3, 3, 2))
    epochs = [row["epoch"] for row in rows]
    for ax, name, unit, factor, guess in ((left, "loss", "cross-entropy (nats)", 1, np.log(num_classes)),
                                          (middle, "accuracy", "right (%)", 100, 100 / num_classes)):
        for key, label, colour in ((name, training, COLOURS[0]), (f"clean_{name}", "training, as they are", COLOURS[3]),
                                   (f"held_out_{name}", "held out", COLOURS[1])):
            if rows[-1].get(key) is not None:
                ax.plot(epochs, [factor * row[key] for row in rows], marker=".", color=colour, label=label)
        ax.axhline(guess, color="black", linestyle=":", linewidth=1, label="guessing")
        ax.set(xlabel="epoch", ylabel=unit, title=name)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    right.plot(epochs, [row["learning_rate"] for row in rows], marker=".", color=COLOURS[2])
    right.set(xlabel="epoch", ylabel="rate at the epoch's end", title="learning rate")
    for ax in (left, middle, right):
        for start in starts:
            ax.axvline(start - 0.5, color=FAINT, linestyle="--", linewidth=1)
        ax.xaxis.set_major_locator(MaxNLocator(4 if ax is right else 10, integer=True))   # the right one is narrow
        ax.grid(alpha=0.3)
    left.set_ylim(bottom=0)
    right.set_ylim(bottom=0)
    return figure
