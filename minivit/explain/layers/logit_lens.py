"""Logit lens: the final norm and the head applied after every layer, as if the network ended there.

    p_l = softmax(head(LN(z_l at [CLS])))

The residual stream has one width and the layers only add to it, so that the last layer's head can read it anywhere. The
idea is nostalgebraist's, "interpreting GPT: the logit lens" (2020). The head was not trained for this: low
confidence early on may mean that the answer is not there yet, or that it is there in a form the head cannot read.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import PowerNorm

from ... import head, softmax, vit
from ...images.preparation import denormalise
from ...normed_head import head_of
from ..style import COLOURS, WIDTH, bare, styled
from .residual_stream import stream


def logit_lens(model, trace):
    """Probabilities (L + 1, B, K) read from the embedded tokens and after each layer; the last are the model's own.

    Every read-out is the model's own too. Raises ValueError for a model without a head.
    """
    if not model.config.num_classes:
        raise ValueError("a model without a head has no answers to read")
    config, params = model.config, vit.only(model.params, *head.NAMES)
    logits = [head_of(config).forward(z, params, config.pool, config.first_pooled, config.layer_norm_eps)[0]
              for z in stream(trace)]
    return np.stack([softmax.forward(s)[0] for s in logits])


@styled
def logit_lens_figure(model, x, probabilities, truths, columns=2):
    """For each image: the picture, and its classes' probabilities over depth; the true class in bold, marked with ▸.

    White is 0, and the colour grows with the square root, so that small probabilities show too. A dot marks the class
    in the lead.
    x: prepared images (B, H, W, 3). probabilities: (L + 1, B, K). truths: the true classes (B,). Returns a figure.
    """
    B, (depths, _, K) = len(x), probabilities.shape
    names = model.labels or [str(k) for k in range(K)]
    rows = -(-B // columns)
    figure, axes = plt.subplots(rows, 2 * columns, figsize=(WIDTH, 2.75 * rows), squeeze=False,
                                width_ratios=(0.75, 1) * columns)
    for ax in axes.flat[2 * B:]:
        ax.set_visible(False)
    for b, (picture, ax) in enumerate(axes.reshape(-1, 2)[:B]):
        answer, truth = int(probabilities[-1, b].argmax()), int(truths[b])
        picture.imshow(denormalise(x[b], model.preprocessing))
        bare(picture)
        right = answer == truth
        picture.set_title(f"{names[truth]}" if right else f"{names[truth]},\ntaken for {names[answer]}",
                          color=COLOURS[0] if right else COLOURS[1], fontsize=10.5)
        mesh = ax.imshow(probabilities[:, b].T, cmap="Blues", norm=PowerNorm(0.5, 0, 1), aspect="auto")
        ax.plot(range(depths), probabilities[:, b].argmax(axis=-1), "o", color=COLOURS[1], markersize=4)
        ax.set_yticks(range(K), [f"▸ {name}" if k == truth else name for k, name in enumerate(names)], fontsize=8.5)
        ax.get_yticklabels()[truth].set_fontweight("bold")
        ax.set_xticks(range(depths))
        if b >= B - columns:
            ax.set_xlabel("depth (layers passed)")
    figure.colorbar(mesh, ax=axes.ravel().tolist(), label="probability", shrink=0.6, aspect=30,
                    ticks=[0, 0.05, 0.2, 0.5, 1])
    return figure


@styled
def lens_accuracy_figure(probabilities, labels):
    """How many answers are right, and how sure they are, when read at each depth. labels: (B,). Returns a figure.

    The bars around the accuracy are one standard error, √(a (1 - a) / B).
    """
    right = probabilities.argmax(axis=-1) == labels                     # (L + 1, B)
    accuracy, sure = right.mean(axis=1), probabilities.max(axis=-1).mean(axis=1)
    figure, ax = plt.subplots(figsize=(WIDTH * 0.7, 3.2))
    error = np.sqrt(accuracy * (1 - accuracy) / len(labels))
    ax.errorbar(range(len(accuracy)), 100 * accuracy, 100 * error, fmt="o-", capsize=3, label="answers that are right")
    ax.plot(100 * sure, "s--", label="mean probability of the answer")
    ax.axhline(100 / probabilities.shape[-1], color="#888888", linewidth=0.8, label="guessing")
    ax.set(xlabel="depth at which the head reads (layers passed)", ylabel="%", ylim=(0, 100),
           title=f"logit lens on {len(labels)} test images")
    ax.legend(loc="upper left")
    return figure
