"""Random weights to start training from, equal on every device and in every precision for the same seed.

Linear maps: uniform in ±√(6 / (in + out)) (Glorot & Bengio 2010), q, k and v each for itself, as in Google's ViT code
but for the patches.
Positions, tokens, latent and heads: normal with standard deviation 0.02. Biases 0; LayerNorm 1 and 0. LayerScale: 1e-5,
as in DINOv2. A fixed table of positions is the sines and cosines of `position_embedding.sincos_2d`, zeros for [CLS].
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..config import ViTConfig
from ..counting import parameter_count
from ..engine import memory
from ..head import norm_name
from ..images.preparation import Preprocessing
from ..model import VisionTransformer, as_dtype
from ..position_embedding import sincos_2d
from ..trees import tree_map
from ..variants import as_config

LAYER_SCALE = 1e-5


def init(variant: str | ViTConfig = "B/16", *, seed: int = 0, dtype: DTypeLike = "float32",
         labels: Sequence[str] | None = None, preprocessing: Preprocessing | None = None,
         **changes: Any) -> VisionTransformer:
    """A VisionTransformer with random weights.

    variant: a name in minivit.VARIANTS or a ViTConfig; changes: fields of ViTConfig, such as num_classes or image_size.
    seed: a whole number. dtype: "float32" or "float64". labels: the names of the classes. Raises ValueError.
    """
    config = as_config(variant, **changes)
    dtype = as_dtype(dtype)
    count = parameter_count(config)
    memory.check_fits(count * dtype.itemsize, f"{count:,} parameters in {dtype}")
    params = tree_map(lambda a: a.astype(dtype, copy=False), random_params(config, np.random.default_rng(seed)))
    return VisionTransformer(config, params, labels=labels, preprocessing=preprocessing)


def random_params(config, rng):
    """Float32 parameters for a config, drawn in the network's order."""
    D, M, K = config.width, config.mlp_width, config.num_classes

    def normal(*shape):
        return _scaled(rng.standard_normal(shape, np.float32), 0.02)

    def linear(n_in, n_out, parts=1, bias=True):
        weight = rng.random((n_in, n_out), np.float32)
        weight -= 0.5
        weight = {"weight": _scaled(weight, 2 * math.sqrt(6 / (n_in + n_out // parts)))}
        return weight | ({"bias": np.zeros(n_out, np.float32)} if bias else {})

    def norm():
        return {"weight": np.ones(D, np.float32), "bias": np.zeros(D, np.float32)}

    def scale(name):
        return {name: {"gamma": np.full(D, LAYER_SCALE, np.float32)}} if config.layer_scale else {}

    def mlp(gated=False):
        return {"fc1": linear(D, M * (1 + gated), parts=1 + gated), "fc2": linear(M, D)}

    def layer():
        attn = {"qkv": linear(D, 3 * D, parts=3, bias=config.qkv_bias), "proj": linear(D, D)}
        return {"norm1": norm(), "attn": attn, **scale("ls1"), "norm2": norm(), "mlp": mlp(config.gated_mlp),
                **scale("ls2")}

    params = {name: normal(1, count, D) for name, count in (
        ("cls_token", int(config.class_token)), ("dist_token", int(config.dist_token)),
        ("reg_token", config.registers)) if count}
    if config.position == "learned":
        params["pos_embed"] = normal(1, config.position_rows, D)
    elif config.position == "fixed":
        table = sincos_2d(config.grid, D).astype(np.float32)
        before = np.zeros((1, config.position_rows - config.num_patches, D), np.float32)
        params["pos_embed"] = np.concatenate([before, table], axis=1)
    params["patch_embed"] = {"proj": linear(config.patch_size ** 2 * 3, D, bias=config.patch_bias)}
    if config.norm_pre:
        params["norm_pre"] = norm()
    params["blocks"] = [layer() for _ in range(config.num_layers)]
    params[norm_name(config.pool)] = norm()
    if config.pool == "map":
        params["attn_pool"] = {"latent": normal(1, 1, D), "q": linear(D, D), "kv": linear(D, 2 * D, parts=2),
                               "proj": linear(D, D), "norm": norm(), "mlp": mlp()}
    for name in ("head", "head_dist") if config.pool == "distilled" else ("head",):
        if K:
            params[name] = {"weight": normal(D, K), "bias": np.zeros(K, np.float32)}
    return params


def _scaled(array, factor):
    array *= np.float32(factor)
    return array
