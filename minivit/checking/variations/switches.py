"""The forward pass with every convention as a switch: what a port computes that made this or that choice."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ... import cls_token, gelu, layer_norm, linear, patch_embedding, position_embedding, softmax
from ...head import norm_name
from ...vit import only


def same(x):
    """x itself: what a switch does that is not thrown."""
    return x


def split_heads(qkv, num_heads, layout="phd"):
    """(B, T, 3D) -> q, k, v of (B, H, T, d). layout: how 3D is read, in parts p, heads h and channels d of a head.

    "reshaped" takes each of q, k, v to (B, H, T, d) without the transpose; "tokens" leaves (B, T, H, d) as it is.
    """
    B, T, three_D = qkv.shape
    d = three_D // (3 * num_heads)
    if layout in ("reshaped", "tokens"):
        shape = (B, num_heads, T, d) if layout == "reshaped" else (B, T, num_heads, d)
        return [part.reshape(shape) for part in np.split(qkv, 3, axis=-1)]
    sides = {"p": 3, "h": num_heads, "d": d}
    qkv = qkv.reshape(B, T, *(sides[letter] for letter in layout))
    return qkv.transpose(2 + layout.index("p"), 0, 2 + layout.index("h"), 1, 2 + layout.index("d"))


def merge_heads(heads, layout="hd"):
    """(B, H, T, d) -> (B, T, D). layout: "hd" heads side by side, "dh" their channels in turn, or no transpose."""
    if layout in ("reshaped", "tokens"):
        B, first, second, d = heads.shape
        return heads.reshape(B, second, first * d) if layout == "reshaped" else heads.reshape(B, first, second * d)
    B, H, T, d = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(B, T, H * d) if layout == "hd" else \
        heads.transpose(0, 2, 3, 1).reshape(B, T, H * d)


@dataclass(frozen=True)
class Variation:
    """One choice other than minivit's. cause: in words, what the other side does. where: the steps it shows in first.

    model: the model changed in config or params. input: other pixels; cut: pixels as the cut into patches sees them.
    scale: a factor on q kᵀ / √d. readout: "model" as the config says, or "no norm", "mean after norm", "mean of all
    tokens", "[CLS]". tolerance: how far off it may be and still count, where libraries compute it in float32.
    """

    cause: str = ""
    where: tuple = ()
    model: Callable = same
    input: Callable = same
    cut: Callable = same
    split: str = "phd"
    merge: str = "hd"
    scale: float = 1.0
    softmax_axis: int = -1
    readout: str = "model"
    tolerance: float = 0.0

    def and_also(self, other):
        """Both at once; where both throw one switch, the other's counts."""
        plain, switches = Variation(), ("split", "merge", "scale", "softmax_axis", "readout")
        thrown = {name: getattr(other, name) for name in switches if getattr(other, name) != getattr(plain, name)}
        return replace(self, cause=f"{self.cause}; {other.cause}" if self.cause else other.cause,
                       model=lambda m: other.model(self.model(m)), input=lambda x: other.input(self.input(x)),
                       cut=lambda x: other.cut(self.cut(x)), **thrown)


def steps(model, x, variation=Variation(), z=None, first_layer=0):
    """(name, array) of each step of the trace, one by one, under a variation; from z entering first_layer if given."""
    model = variation.model(model)
    config, params = model.config, model.params
    if z is None:
        x = variation.input(x)
        yield "pixels", x
        patches = patch_embedding.patchify(variation.cut(x), config.patch_size)
        yield "patches", patches
        patches, _ = linear.forward(patches, params["patch_embed"]["proj"])
        yield "patch_embedding", patches
        tokens, _ = cls_token.forward(patches, only(params, "cls_token"))
        yield "tokens", tokens
        z, _ = position_embedding.forward(tokens, only(params, "pos_embed"), config.position, config.grid)
        yield "embedded", z
    for i in range(first_layer, config.num_layers):
        for name, array in _layer_steps(z, params["blocks"][i], config, variation):
            yield f"layer.{i}.{name}", array
        z = array
    yield from _head_steps(z, params, config, variation)


def _layer_steps(x, params, config, variation):
    eps, H = config.layer_norm_eps, config.num_heads
    normed, _ = layer_norm.forward(x, params["norm1"], eps)
    yield "norm1", normed
    qkv, _ = linear.forward(normed, params["attn"]["qkv"])
    query, key, value = split_heads(qkv, H, variation.split)
    yield "query", query
    yield "key", key
    yield "value", value
    scores = query @ key.swapaxes(-1, -2) * (variation.scale / math.sqrt(query.shape[-1]))
    yield "scores", scores
    attention = softmax.forward(scores.swapaxes(-1, variation.softmax_axis))[0].swapaxes(-1, variation.softmax_axis)
    yield "attention", attention
    attended, _ = linear.forward(merge_heads(attention @ value, variation.merge), params["attn"]["proj"])
    yield "attended", attended
    residual = x + attended
    yield "residual1", residual
    normed, _ = layer_norm.forward(residual, params["norm2"], eps)
    yield "norm2", normed
    hidden, _ = linear.forward(normed, params["mlp"]["fc1"])
    hidden, _ = gelu.forward(hidden, config.gelu, with_cache=False)
    yield "hidden", hidden
    mlp, _ = linear.forward(hidden, params["mlp"]["fc2"])
    yield "mlp", mlp
    yield "output", residual + mlp


def _head_steps(z, params, config, variation):
    first = int(config.class_token)

    def norm(x):
        return layer_norm.forward(x, params[norm_name(config.pool)], config.layer_norm_eps)[0]

    if variation.readout == "no norm":
        normed = z if config.pool == "cls" else z[:, first:].mean(axis=1)
        representation = normed[:, 0] if config.pool == "cls" else normed
    elif variation.readout in ("mean after norm", "mean of all tokens"):
        normed = norm(z)
        representation = normed[:, first if variation.readout == "mean after norm" else 0:].mean(axis=1)
    elif config.pool == "cls" or variation.readout == "[CLS]":
        normed = norm(z)
        representation = normed[:, 0]
    else:
        normed = representation = norm(z[:, first:].mean(axis=1))
    yield "norm", normed
    yield "representation", representation
    if "head" in params:
        logits, _ = linear.forward(representation, params["head"])
        yield "logits", logits
        yield "probabilities", softmax.forward(logits)[0]
