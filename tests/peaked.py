"""Models whose attention is peaked, as in a trained network: the weights on which a test can see a mistake.

Freshly initialised attention is almost uniform, and a uniform average hides a missing scale, a wrong eps or a softmax
over the wrong axis. Here the mean over queries of the largest attention is 0.2 to 0.45 in every layer, every bias is
non-zero, no LayerNorm weight is 1, and [CLS] and head are not zero either.
"""

import math
from dataclasses import replace

import numpy as np

import minivit
from minivit.trees import flatten, tree_map

SMALL = minivit.ViTConfig(patch_size=4, width=24, num_layers=3, mlp_width=40, num_heads=3, num_classes=7,
                          image_size=(16, 20))                          # N = 20, T = 21
WIDE = replace(SMALL, width=72, mlp_width=80)                           # gradient_check takes random directions alone


def peaked_model(config=SMALL, seed=0, dtype="float64", query_key_std=1.3):
    """A model with random weights; query_key_std is that of the q and k weights in units of 1/√D."""
    rng = np.random.default_rng(seed)
    model = minivit.init(config, seed=seed, dtype=dtype)
    D, M = config.width, config.mlp_width
    std = {"patch_embed.proj.weight": 1 / math.sqrt(3 * config.patch_size ** 2), "attn.qkv.weight": 1 / math.sqrt(D),
           "attn.proj.weight": 1 / math.sqrt(D), "mlp.fc1.weight": 1 / math.sqrt(D), "mlp.fc2.weight": 1 / math.sqrt(M),
           "head.weight": 1 / math.sqrt(D), "pos_embed": 0.5, "cls_token": 1.0, "dist_token": 1.0, "reg_token": 1.0,
           "latent": 1.5, "attn_pool.q.weight": 1.3 / math.sqrt(D), "attn_pool.kv.weight": 1.3 / math.sqrt(D),
           "attn_pool.proj.weight": 1 / math.sqrt(D), "head_dist.weight": 1 / math.sqrt(D), "gamma": 0.7}

    for name, weight in flatten(model.params).items():
        ending = next((ending for ending in std if name.endswith(ending)), None)
        weight[...] = rng.standard_normal(weight.shape) * std.get(ending, 0.2)
        if "norm" in name and name.endswith("weight"):
            weight += 1.0
        if ending == "attn.qkv.weight":
            weight[:, :2 * D] *= query_key_std
    return model


def images(config=SMALL, B=3, seed=1, dtype="float64"):
    """Random normalised images (B, H, W, 3)."""
    return np.random.default_rng(seed).standard_normal((B, *config.height_width, 3)).astype(dtype)


def peakedness(attention):
    """The mean over queries of the largest attention. attention: (..., T, T)."""
    return float(attention.max(axis=-1).mean())


def relative_error(a, b):
    """‖a - b‖ / ‖b‖: how far a is from the reference b."""
    return float(np.linalg.norm(np.asarray(a) - b) / max(np.linalg.norm(b), 1e-300))


def copied(tree):
    """The same nested params with arrays of their own."""
    return tree_map(np.copy, tree)
