"""Weights otherwise: transposed, without bias, or of another layer."""

import numpy as np

from .changes import Blocks, in_blocks, in_entry, in_layers, in_patches
from .variation import Variation

STEPS = {("attn", "qkv"): ("query", "key", "value"), ("attn", "proj"): ("attended",), ("mlp", "fc1"): ("hidden",),
         ("mlp", "fc2"): ("mlp",)}
EVERY_LAYER = ("norm1", "norm2", *(step for steps in STEPS.values() for step in steps))
LINEAR = ("patch_embedding", *(step for steps in STEPS.values() for step in steps), "logits")


def transposed():
    """(out, in) read as (in, out)."""
    for (section, part), steps in STEPS.items():
        def turn(a, parts=3 if part == "qkv" else 1, square=section == "attn"):
            if a.ndim < 2:
                return a
            return np.concatenate([w.T if square else w.T.reshape(w.shape) for w in np.split(a, parts, axis=1)], axis=1)
        words = "transposed: (out, in) is read as (in, out)" if section == "attn" else \
            "reshaped instead of transposed: (out, in) is read as (in, out)"
        yield Variation(f"{section}.{part}.weight is {words}", steps, in_layers(section, part, turn))
    yield Variation("attn.qkv.weight is reshaped instead of transposed: (out, in) is read as (in, out)",
                    STEPS["attn", "qkv"],
                    in_layers("attn", "qkv", lambda a: a if a.ndim < 2 else a.T.reshape(a.shape)))
    yield Variation("head.weight is reshaped instead of transposed: (out, in) is read as (in, out)", ("logits",),
                    in_entry("head", lambda p: {**p, "weight": p["weight"].T.reshape(p["weight"].shape)}))


def without_bias(model):
    """A linear map's bias left out, one of q, k and v's alone, or a projection left out as a whole."""
    def zero(a):
        return a if a.ndim == 2 else np.zeros_like(a)
    yield Variation("patch_embed.proj.bias is missing", ("patch_embedding",), in_patches(zero, "bias"))
    for (section, part), steps in STEPS.items():
        yield Variation(f"{section}.{part}.bias is missing", steps, in_layers(section, part, zero))
    for i, letter in enumerate("qkv"):
        def zero_part(a, i=i):
            return a if a.ndim == 2 else np.concatenate([b * (j != i) for j, b in enumerate(np.split(a, 3))])
        yield Variation(f"{letter}'s part of attn.qkv.bias is missing", STEPS["attn", "qkv"],
                        in_layers("attn", "qkv", zero_part))
    yield Variation("head.bias is missing", ("logits",), in_entry("head", lambda p: {**p, "bias": 0 * p["bias"]}))
    yield Variation("every bias of a linear map is missing", LINEAR, _no_linear_bias)
    yield Variation("attn.proj is missing: the merged heads are not projected", ("attended",),
                    in_layers("attn", "proj", lambda a: np.eye(len(a)) if a.ndim == 2 else np.zeros_like(a)))
    yield Variation("attn.proj is applied twice", ("attended",), in_blocks(_projected_twice))


def _projected_twice(blocks, i):
    weight, bias = blocks[i]["attn"]["proj"]["weight"], blocks[i]["attn"]["proj"]["bias"]
    twice = {"weight": weight @ weight, "bias": bias @ weight + bias}
    return {**blocks[i], "attn": {**blocks[i]["attn"], "proj": twice}}


def _no_linear_bias(model):
    def of_layer(blocks, i):
        return {**blocks[i], **{section: {part: {**p, "bias": 0 * p["bias"]} for part, p in blocks[i][section].items()}
                                for section in ("attn", "mlp")}}
    params = {**model.params, "blocks": Blocks(model.params["blocks"], of_layer)}
    proj = params["patch_embed"]["proj"]
    params["patch_embed"] = {"proj": {**proj, "bias": 0 * proj["bias"]}}
    if "head" in params:
        params["head"] = {**params["head"], "bias": 0 * params["head"]["bias"]}
    return model.with_params(params)


def layer_orders(model):
    """The layers in another order, or the same one more than once."""
    L = model.config.num_layers
    orders = {"as strings are sorted: 0, 1, 10, 11, 2, …": sorted(range(L), key=str),
              "from the last to the first": list(range(L))[::-1],
              "from the second on: layer i has the weights of layer i + 1": [*range(1, L), 0],
              "one late: layer i has the weights of layer i - 1": [L - 1, *range(L - 1)],
              "always the first one's weights": [0] * L, "always the last one's weights": [L - 1] * L}
    seen = [list(range(L))]
    for words, order in orders.items():
        if order not in seen:
            seen.append(order)
            yield Variation(f"the layers' weights are taken in another order: {words}", EVERY_LAYER,
                            lambda m, order=order: m.with_params({**m.params, "blocks": Blocks(
                                m.params["blocks"], lambda blocks, i: blocks[order[i]])}))
