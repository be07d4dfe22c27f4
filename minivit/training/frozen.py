"""A frozen body: the head alone is trained, on what the rest makes of the images.

    y = the representation, with weights that stay as they are
    logits = y W + b                         dW = yᵀ dlogits        db = Σ dlogits

Nothing before y has a gradient, so the layers go forward alone, without a cache, and their backward pass, two thirds of
a step's work, is never computed.
"""

import numpy as np

from .. import linear, loss, vit
from ..engine import threads
from ..engine.devices import enough_memory

HEAD = "head"


def trained(params, freeze):
    """What a run changes of params: all of them, or the head's where the rest is frozen."""
    return {HEAD: params[HEAD]} if freeze else params


def training_pass(model, x, targets, draw=None):
    """`VisionTransformer.training_pass` with the gradients of the head alone.

    x: (B, H, W, 3), normalised. targets: probabilities (B, K). draw: what the images go without, dropped.Draw. Returns
    the loss in nats, grads {"head": …}, and the logits (B, K).
    """
    body = {name: part for name, part in model.params.items() if name != HEAD}

    def representation(chunk):
        dropped = draw and draw.chunk(chunk, model.device)
        return vit.forward(x[chunk], body, model.config, with_cache=False, dropped=dropped)[0]       # (b, D)

    with enough_memory(f"{len(x)} image(s)"):
        y = np.concatenate(threads.each(representation, threads.chunks(x)))                          # (B, D)
    logits, head_cache = linear.forward(y, model.params[HEAD])                                       # (B, K)
    value, loss_cache = loss.forward(logits, targets)
    _, dhead = linear.backward(loss.backward(loss_cache), head_cache)
    return value, {HEAD: dhead}, logits
