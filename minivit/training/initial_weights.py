"""Random weights to start training from, equal on every device and in every precision for the same seed.

Linear maps: uniform in ±√(6 / (in + out)) (Glorot & Bengio 2010), as in Google's ViT code, q, k and v each for itself.
Positions, [CLS] and head: normal with standard deviation 0.02. Biases 0; LayerNorm 1 and 0.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..config import ViTConfig, as_config, parameter_count
from ..engine import memory
from ..head import norm_name
from ..images.preparation import Preprocessing
from ..model import VisionTransformer, as_dtype
from ..trees import tree_map


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

    def linear(n_in, n_out, parts=1):
        weight = rng.random((n_in, n_out), np.float32)
        weight -= 0.5
        return {"weight": _scaled(weight, 2 * math.sqrt(6 / (n_in + n_out // parts))),
                "bias": np.zeros(n_out, np.float32)}

    def norm():
        return {"weight": np.ones(D, np.float32), "bias": np.zeros(D, np.float32)}

    params = {}
    if config.class_token:
        params["cls_token"] = normal(1, 1, D)
    if config.position == "learned":
        params["pos_embed"] = normal(1, config.num_tokens, D)
    params["patch_embed"] = {"proj": linear(config.patch_size ** 2 * 3, D)}
    params["blocks"] = [{"norm1": norm(), "attn": {"qkv": linear(D, 3 * D, parts=3), "proj": linear(D, D)},
                         "norm2": norm(), "mlp": {"fc1": linear(D, M), "fc2": linear(M, D)}}
                        for _ in range(config.num_layers)]
    params[norm_name(config.pool)] = norm()
    if K:
        params["head"] = {"weight": normal(D, K), "bias": np.zeros(K, np.float32)}
    return params


def _scaled(array, factor):
    array *= np.float32(factor)
    return array
