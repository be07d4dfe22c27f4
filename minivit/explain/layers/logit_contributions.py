"""Who said it: the logits split into what the embedding and each half-layer contributed.

The residual stream at [CLS] is a sum of parts. The final LayerNorm subtracts a mean and divides by a standard
deviation; with that one number kept as it is, it is linear, the head is linear too, and the logits split exactly:

    logits = Σ_parts ((part - mean(part)) / std · weight) W + (bias W + b)
"""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, FAINT, WIDTH, styled
from .residual_stream import added, stream


def logit_contributions(model, trace):
    """{part: (B, K)}: the embedding, each layer's attention and MLP, and the constant; their sum is the logits.

    For a model that reads [CLS]. Raises ValueError for another read-out, and for a model without a head.
    """
    config = model.config
    if config.pool != "cls":
        raise ValueError('the logits are split at the [CLS] token: expected a model with pool="cls", '
                         f"found {config.pool!r}")
    if not config.num_classes:
        raise ValueError("a model without a head has no logits to split")
    norm, head = model.params["norm"], model.params["head"]
    parts = {"embedding": stream(trace)[0][:, 0]}                       # (B, D)
    for i, (attended, thought) in enumerate(zip(added(trace, "attended"), added(trace, "mlp"))):
        parts[f"attention {i}"], parts[f"MLP {i}"] = attended[:, 0], thought[:, 0]
    whole = sum(parts.values())                                         # z_L at [CLS]
    std = np.sqrt(whole.var(axis=-1, keepdims=True) + config.layer_norm_eps)
    split = {name: ((part - part.mean(axis=-1, keepdims=True)) / std * norm["weight"]) @ head["weight"]
             for name, part in parts.items()}                           # (B, K) each
    split["constant"] = np.broadcast_to(norm["bias"] @ head["weight"] + head["bias"], (len(whole), config.num_classes))
    return split


@styled
def logit_contributions_figure(contributions, first, second, names):
    """Bars: what each part adds to the difference of two classes' logits, for the first image.

    contributions: as `logit_contributions` returns them. first, second: class numbers; bars to the right speak for
    `first`, to the left for `second`. Returns a figure.
    """
    values = [float(part[0, first] - part[0, second]) for part in contributions.values()]
    figure, ax = plt.subplots(figsize=(WIDTH * 0.75, 0.27 * len(values) + 1))
    ax.barh(list(contributions), values, color=[COLOURS[0] if v > 0 else COLOURS[1] for v in values])
    ax.axvline(0, color=FAINT, linewidth=0.8)
    ax.invert_yaxis()
    ax.set(xlabel=f"logit of {names[first]} − logit of {names[second]}; sum {sum(values):.2f}",
           title=f"who speaks for {names[first]} (right) and for {names[second]} (left)")
    return figure
