"""What a run trains: all but a table of positions that is fixed; or with a frozen body the head alone.

    y = the representation, with weights that stay as they are
    logits = y W + b                         dW = yᵀ dlogits        db = Σ dlogits

Nothing before y has a gradient, so the layers go forward alone, without a cache, and their backward pass, two thirds of
a step's work, is never computed. A distilled model has two heads, each on a token of its own, and both are trained.
"""

import numpy as np

from .. import distillation, linear, loss, vit
from ..engine import threads
from ..engine.devices import enough_memory

HEADS = ("head", "head_dist")


def trained(params, freeze, config):
    """What a run changes of params, or of their gradients: the heads' where the rest is frozen, else all, but for a
    table of positions that the config calls fixed.
    """
    fixed = ("pos_embed",) if config.position == "fixed" else ()
    return {name: part for name, part in params.items() if (name in HEADS if freeze else name not in fixed)}


def training_pass(model, x, targets, draw=None):
    """`VisionTransformer.training_pass` with the gradients of the head, or of both heads, alone.

    x: (B, H, W, 3), normalised. targets: probabilities (B, K). draw: what the images go without, dropped.Draw. Returns
    the loss in nats, grads {"head": …}, and the logits (B, K).
    """
    two = model.config.pool == "distilled"
    heads = {name: part for name, part in model.params.items() if name in HEADS}
    body = {name: part for name, part in model.params.items() if name not in HEADS}
    if two:
        body |= side_by_side(model.config.width, like=heads["head"]["weight"])

    def representation(chunk):
        dropped = draw and draw.chunk(chunk, model.device)
        return vit.forward(x[chunk], body, model.config, with_cache=False, dropped=dropped)[0]       # (b, D), (b, 2D)

    with enough_memory(f"{len(x)} image(s)"):
        y = np.concatenate(threads.each(representation, threads.chunks(x)))                          # (B, D), (B, 2D)
    if two:
        logits, cache = distillation.forward(y.reshape(len(y), 2, -1), heads)                        # (B, K)
    else:
        logits, cache = linear.forward(y, heads["head"])                                             # (B, K)
    value, loss_cache = loss.forward(logits, targets)
    dlogits = loss.backward(loss_cache)
    grads = distillation.backward(dlogits, cache)[1] if two else {"head": linear.backward(dlogits, cache)[1]}
    return value, grads, logits


def side_by_side(width, like):
    """Two heads that hand both tokens on, (B, 2D): the mean of 2 [y_cls, 0] and 2 [0, y_dist]."""
    double, zero = 2 * np.eye(width, dtype=like.dtype, like=like), np.zeros_like(like, shape=(width, width))
    return {"head": {"weight": np.concatenate([double, zero], axis=1)},
            "head_dist": {"weight": np.concatenate([zero, double], axis=1)}}
