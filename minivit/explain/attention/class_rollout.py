"""Rollout for one class: each weight counts by what it does for that class's logit (Chefer et al. 2021, 2103.15679).

    ∇Aₗ = ∂ logit(class) / ∂ Aₗ
    Āₗ  = mean over heads of max(0, ∇Aₗ ⊙ Aₗ)            equation 5
    R   = R + Āₗ R, from R = I, the first layer first     equation 6

The gradient has passed the values, the projections, the MLPs and the head, so R depends on all of them, as `rollout`
does not. What speaks against the class is cut off. The identity is the residual connection; no row is rescaled.
"""

import numpy as np

from ... import attention, layer, layer_norm, layer_scale, linear, mlp, vit


def class_rollout(model, x, classes):
    """What each token owes to each input token where a class is asked for. x: (B, H, W, 3). classes: (B,).

    Returns R (B, T, T), in no unit: row 0 belongs to [CLS], as `attention_map(R, 0, grid)` lays it out.
    """
    flow = None
    for a, da in attention_gradients(model, x, classes):
        mixed = np.maximum(da * a, 0).mean(axis=1)                                      # (B, T, T)
        flow = np.identity(mixed.shape[-1], mixed.dtype, like=mixed) if flow is None else flow
        flow = flow + mixed @ flow
    return flow


def attention_gradients(model, x, classes):
    """A and ∂ logit(class) / ∂ A of each layer: a list of pairs, (B, H, T, T) each, the first layer first.

    Where the head reads [CLS] alone, the last layer's other rows are zero in both: nobody reads what they collect.
    Raises ValueError for a model without classes.
    """
    if not model.config.num_classes:
        raise ValueError("a model without a head has no class whose logit could be asked for")
    logits, (*_, reading, _, layer_caches, head_cache) = vit.forward(x, model.params, model.config)
    dlogits = np.zeros_like(logits)                                                     # (B, K)
    dlogits[np.arange(len(x), like=x), np.asarray(classes, like=x)] = 1
    dtokens, _ = reading.backward(dlogits, head_cache)                                     # (B, t, D)
    pairs = []
    for cache in reversed(layer_caches):
        pairs.append(_of_layer(dtokens, cache))
        dtokens, _ = layer.backward(dtokens, cache)                                     # (B, T, D)
    return pairs[::-1]


def _of_layer(dy, cache):
    """A and dA of one layer, (B, H, T, T), from the gradient of its output, (B, t, D)."""
    _, (query, key, value, queries, _, proj_cache), ls1_cache, norm2_cache, mlp_cache, ls2_cache, _ = cache
    dnormed, _ = mlp.backward(layer_scale.backward(dy, ls2_cache)[0], mlp_cache)
    dresidual = dy + layer_norm.backward(dnormed, norm2_cache)[0]                       # z = z' + MLP(LN(z'))
    dmerged, _ = linear.backward(layer_scale.backward(dresidual, ls1_cache)[0], proj_cache)             # (B, t, D)
    B, H, T, _ = key.shape
    a, da = (np.zeros_like(key, shape=(B, H, T, T)) for _ in range(2))
    a[:, :, queries] = attention.weights(query, key)
    da[:, :, queries] = attention.merge_view(dmerged, H) @ value.swapaxes(-1, -2)       # heads = A v
    return a, da
