"""Temperature: logits divided by a number, which changes how sure the answers are and never which they are."""

import matplotlib.pyplot as plt
import numpy as np

from ... import loss, softmax
from ..style import COLOURS, FAINT, WIDTH, styled


def temperature_curve(logits, labels, temperatures):
    """(cross-entropy in nats, mean probability of the answer) at each temperature, two arrays.

    logits: (B, K). labels: classes (B,). temperatures: above 0; 1 leaves the model as it is.
    """
    losses = [float(loss.forward(logits / t, labels)[0]) for t in temperatures]
    sure = [float(softmax.forward(logits / t)[0].max(axis=-1).mean()) for t in temperatures]
    return np.array(losses), np.array(sure)


@styled
def temperature_figure(logits, labels, temperatures, names, example=0, fitted=None):
    """Left: one image's probabilities at three temperatures. Right: loss and certainty of all, over the temperature.

    fitted: a temperature that was fitted elsewhere, marked by a line. Returns a figure.
    """
    losses, sure = temperature_curve(logits, labels, temperatures)
    right = float((logits.argmax(axis=-1) == labels).mean())
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4))
    K, shown = len(names), (0.5, 1.0, 2.0)
    for i, (t, colour) in enumerate(zip(shown, COLOURS)):
        axes[0].barh(np.arange(K) + 0.27 * (i - 1), 100 * softmax.forward(logits[example] / t)[0], 0.26, color=colour,
                     label=f"temperature {t:g}")
    axes[0].set_yticks(range(K), names)
    axes[0].invert_yaxis()
    axes[0].set(xlabel="probability (%)", xlim=(0, 100), title="one image at three temperatures")
    axes[0].legend()
    axes[1].semilogx(temperatures, losses, color=COLOURS[0], label="cross-entropy (nats)")
    axes[1].semilogx(temperatures, sure, "--", color=COLOURS[1], label="mean probability of the answer")
    axes[1].axhline(right, color=FAINT, linestyle=":", label="share of right answers")
    axes[1].axvline(1, color=FAINT, linewidth=0.8)
    if fitted is not None:
        axes[1].axvline(fitted, color=COLOURS[2], linestyle="-.", label=f"the fitted temperature, {fitted:.2f}")
    axes[1].set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axes[1].minorticks_off()
    axes[1].set(xlabel="temperature", ylabel="nats, and shares of one", ylim=(0, None),
                title=f"{len(labels)} test images")
    axes[1].legend(loc="upper center", bbox_to_anchor=(0.47, -0.17), ncols=2, columnspacing=1)
    return figure
