"""How far one output sees: by the formula for convolutions, and measured by gradients for convolutions and a ViT.

    r_l = r_{l-1} + (k_l - 1) j_{l-1},   j_l = s_l j_{l-1},   r_0 = j_0 = 1

r is the receptive field of one output in pixels, j the distance in pixels between neighbouring outputs, k the kernel
and s the stride of layer l. Measured: the pixels whose gradient is not exactly zero when one output alone has one.
"""

from itertools import pairwise

import numpy as np

from ... import cls_token, layer, layer_norm, patch_embedding, position_embedding, vit
from . import convolution


def by_formula(layers):
    """Receptive field in pixels after each layer. layers: [(kernel, stride), …]. Returns [(r, j), …]."""
    field, jump, fields = 1, 1, []
    for kernel, stride in layers:
        field, jump = field + (kernel - 1) * jump, jump * stride
        fields.append((field, jump))
    return fields


def random_convolutions(depth, channels=8, kernel=3, seed=0):
    """A stack of 3 × 3 convolutions with random weights (He et al. 2015): [params, …], colours first."""
    rng = np.random.default_rng(seed)
    sizes = [3] + depth * [channels]
    return [{"weight": rng.standard_normal((kernel, kernel, n_in, n_out)) * np.sqrt(2 / (kernel * kernel * n_in)),
             "bias": np.zeros(n_out)} for n_in, n_out in pairwise(sizes)]


def convolution_gradient(x, stack, place):
    """|dL/dpixel| of one output of a stack of convolutions with ReLU. x: (1, H, W, 3); place: (row, column).

    L is the output at `place`, its channels added with random signs. Returns (H, W): the norm over the colours.
    """
    caches = []
    for params in stack:
        x, cache = convolution.forward(x, params, padding=len(params["weight"]) // 2)
        active = x > 0
        x = x * active                                                  # ReLU
        caches.append((cache, active))
    dx = _one_output(x, (0, *place))
    for cache, active in reversed(caches):
        dx, _ = convolution.backward(dx * active, cache)
    return np.linalg.norm(dx[0], axis=-1)


def vit_gradient(model, x, patch, depth):
    """|dL/dpixel| of one patch's token after `depth` layers of a ViT; 0 means right after the embedding.

    x: prepared image (1, H, W, 3); patch: its place in the sequence, counted from the first patch. Returns (H, W).
    """
    config, params = model.config, model.params
    z, patch_cache = patch_embedding.forward(x, params["patch_embed"], config.patch_size)          # (1, N, D)
    z, cls_cache = cls_token.forward(z, vit.only(params, *cls_token.NAMES))                        # (1, T, D)
    z, pos_cache = position_embedding.forward(z, vit.only(params, "pos_embed"), config.position, config.grid)
    if config.norm_pre:
        z, pre_cache = layer_norm.forward(z, params["norm_pre"], config.layer_norm_eps)            # (1, T, D)
    layer_caches = []
    for block in params["blocks"][:depth]:
        z, cache = layer.forward(z, block, config.num_heads, config.layer_norm_eps, config.activation)     # (1, T, D)
        layer_caches.append(cache)
    dz = _one_output(z, (0, patch + config.num_prefix))
    for cache in reversed(layer_caches):
        dz, _ = layer.backward(dz, cache)
    if config.norm_pre:
        dz, _ = layer_norm.backward(dz, pre_cache)
    dz, _ = position_embedding.backward(dz, pos_cache)
    dz, _ = cls_token.backward(dz, cls_cache)
    dx, _ = patch_embedding.backward(dz, patch_cache)
    return np.linalg.norm(dx[0], axis=-1)


def reach(gradient):
    """(height, width) in pixels of the smallest box around all pixels whose gradient is not exactly zero."""
    rows, columns = np.nonzero(gradient)
    return (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1) if len(rows) else (0, 0)


def share_within(gradient, place, distance):
    """Share of the gradient at most `distance` pixels, by the larger of the two offsets, from place (row, column)."""
    rows, columns = np.indices(gradient.shape)
    near = np.maximum(abs(rows - place[0]), abs(columns - place[1])) <= distance
    return float(gradient[near].sum() / gradient.sum())


def _one_output(like, index):
    """An upstream gradient that is zero but at `index`, where each number has a random sign."""
    dy = np.zeros_like(like)
    dy[index] = np.random.default_rng(1).choice([-1.0, 1.0], like.shape[-1])
    return dy
