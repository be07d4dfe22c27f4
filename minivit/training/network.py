"""The network as it is trained: `vit.forward` and `vit.backward` with patches left out and layers skipped.

Where both are off it computes what `model.loss_and_gradients` does. Everything random is drawn on the host and moved
before the first layer, so that a GPU waits for nothing on the way.
"""

import numpy as np

from .. import cls_token, head, loss, patch_embedding, position_embedding
from ..engine import threads
from ..engine.devices import enough_memory, to_device
from ..vit import asking_tokens, in_order, only
from . import patch_dropout, stochastic_depth


def loss_and_gradients(model, x, targets, rng, dropped_patches=0.0, skipped_layers=0.0):
    """Mean cross-entropy of a batch in nats, its gradients nested like params, and the logits (B, K).

    x: (B, H, W, 3), normalised. targets: probabilities (B, K). Both are on the model's device. rng decides what each
    image goes without: dropped_patches is the share of its patches, skipped_layers the rate p of the last layer.
    """
    config = model.config
    kept = patch_dropout.draw(rng, len(x), config, dropped_patches)                                    # (B, S)
    taking = stochastic_depth.draw(rng, len(x), config.num_layers, skipped_layers)                     # (L, B)
    rates = stochastic_depth.rates(config.num_layers, skipped_layers)                                  # (L,)
    all_logits = np.empty_like(targets)                                                                # (B, K)

    def of_run(run, take):
        share = len(x[run]) / len(x)
        tokens = None if kept is None else to_device(kept[run], model.device)                          # (b, S)
        images = [to_device(np.flatnonzero(layer[run]), model.device) if rate else None
                  for layer, rate in zip(taking, rates)]
        logits, cache = forward(x[run], model.params, config, tokens, images, rates)                   # (b, K)
        all_logits[run] = logits
        value, loss_cache = loss.forward(logits, targets[run])
        _, grads = backward(share * loss.backward(loss_cache), cache, take)
        return {"loss": share * value, "grads": grads}

    with enough_memory(f"a training step with {len(x)} image(s)"):
        result, blocks = threads.total(of_run, threads.split(x))
        return result["loss"], {**result["grads"], "blocks": in_order(blocks)}, all_logits


def forward(x, params, config, kept, taking, rates):
    """Images to logits. x: (B, H, W, 3). kept: the tokens each image keeps (B, S), or None for all.

    taking: L places of images, or None for all. rates: p of the L layers. Returns logits (B, K) and the cache.
    """
    tokens, patch_cache = patch_embedding.forward(x, params["patch_embed"], config.patch_size)         # (B, N, D)
    tokens, cls_cache = cls_token.forward(tokens, only(params, "cls_token"))                           # (B, T, D)
    tokens, pos_cache = position_embedding.forward(tokens, only(params, "pos_embed"), config.position,
                                                   config.grid)                                        # (B, T, D)
    tokens, drop_cache = patch_dropout.forward(tokens, kept)                                           # (B, S, D)
    layer_caches = []
    for block, images, rate, asking in zip(params["blocks"], taking, rates, asking_tokens(config)):
        tokens, cache = stochastic_depth.forward(tokens, block, images, rate, config.num_heads,
                                                 config.layer_norm_eps, config.gelu, asking)           # (B, t, D)
        layer_caches.append(cache)
    logits, head_cache = head.forward(tokens, only(params, "norm", "fc_norm", "head"), config.pool,
                                      config.class_token, config.layer_norm_eps)                       # (B, K)
    return logits, (patch_cache, cls_cache, pos_cache, drop_cache, layer_caches, head_cache)


def backward(dlogits, cache, take=None):
    """Gradients of `forward`, its sections in reverse. dlogits: (B, K). take: as `vit.backward` has it.

    Returns dx, the gradient of every pixel (B, H, W, 3), and grads, nested like params.
    """
    patch_cache, cls_cache, pos_cache, drop_cache, layer_caches, head_cache = cache
    dtokens, dhead = head.backward(dlogits, head_cache)                                                # (B, t, D)
    blocks = {}
    layer_caches = layer_caches if take else list(layer_caches)
    while layer_caches:
        dtokens, dblock = stochastic_depth.backward(dtokens, layer_caches.pop())                       # (B, S, D)
        (take or blocks.__setitem__)(len(layer_caches), dblock)
    dtokens = patch_dropout.backward(dtokens, drop_cache)                                              # (B, T, D)
    dtokens, dpos = position_embedding.backward(dtokens, pos_cache)                                    # (B, T, D)
    dtokens, dcls = cls_token.backward(dtokens, cls_cache)                                             # (B, N, D)
    dx, dpatch = patch_embedding.backward(dtokens, patch_cache)                                        # (B, H, W, 3)
    return dx, {**dcls, **dpos, "patch_embed": dpatch, "blocks": in_order(blocks), **dhead}
