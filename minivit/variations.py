"""The forward pass with every convention as a switch: what a port would compute if it had made this or that choice.

`comparison` finds where two models part; here are the known ways to part there. Each is a Variation, and `steps`
computes the trace under it, from any layer on.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from . import cls_token, gelu, layer_norm, linear, patch_embedding, position_embedding, position_resampling, softmax
from .head import norm_name
from .vit import only

EPS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12)


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
    hidden, _ = gelu.forward(hidden, config.gelu, keep=False)
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


def known(model):
    """Every Variation that is tried on a model, those first that are met most."""
    config = model.config
    yield from (eps_variation(model, eps) for eps in EPS if eps != config.layer_norm_eps)
    other = "tanh" if config.gelu == "erf" else "erf"
    gelu_form = Variation(f'GELU in its {other} form: gelu="{other}", found "{config.gelu}"', ("hidden",),
                          lambda m: _with_config(m, gelu=other))
    yield gelu_form
    # Libraries differ in both: a reference that has only the logits shows them at once.
    yield from (eps_variation(model, eps).and_also(gelu_form) for eps in EPS if eps != config.layer_norm_eps)
    yield from _qkv_orders(model)
    yield from _head_splits(model)
    if config.position == "learned":
        yield from _resamplings(model)
        yield from _position_orders(model)
    yield from _flatten_orders(model)
    yield Variation("the final LayerNorm is missing", ("norm", "representation"), readout="no norm")
    for readout in ("mean after norm", "mean of all tokens", "[CLS]"):
        if config.pool == "mean" or readout != "[CLS]":
            yield Variation(f"the read-out is another: {readout}", ("norm", "representation"), readout=readout)
    yield from _scales(model)
    yield Variation("softmax runs over the wrong axis", ("attention",), softmax_axis=-2)
    yield from _transposed(model)
    yield from _without_bias()


def eps_variation(model, eps):
    """LayerNorm's eps is another."""
    return Variation(f"LayerNorm's eps is {eps:.4g}: layer_norm_eps={eps:.4g}, found {model.config.layer_norm_eps:.4g}",
                     ("norm1", "norm2", "norm"), lambda m: _with_config(m, layer_norm_eps=eps))


def _qkv_orders(model):
    for order in list(itertools.permutations(range(3)))[1:]:
        letters = ", ".join("qkv"[i] for i in order)
        yield Variation(f"the parts of qkv are read in the order {letters}", ("query", "key", "value"),
                        _in_attention("qkv", lambda a, order=order: np.concatenate(
                            [np.split(a, 3, axis=-1)[i] for i in order], axis=-1)))


def _head_splits(model):
    D, H = model.config.width, model.config.num_heads
    for heads in (n for n in range(1, D + 1) if D % n == 0 and n != H and (n <= 4 * H or n == D)):
        yield Variation(f"the heads are split otherwise: num_heads={heads}, found {H}", ("query",),
                        lambda m, heads=heads: _with_config(m, num_heads=heads))
    for layout in ("pdh", "hpd", "hdp", "dph", "dhp"):
        words = ", ".join({"p": "q/k/v", "h": "head", "d": "channel"}[letter] for letter in layout)
        for merge in ("hd", "dh"):
            yield Variation(f"the heads are split otherwise: 3D is read as ({words})", ("query",), split=layout,
                            merge=merge)
    for merge in ("reshaped", "hd"):
        yield Variation("the heads are split by a reshape without the transpose", ("query",), split="reshaped",
                        merge=merge)
    yield Variation("the heads are split without the transpose: attention runs over the heads of one token", ("query",),
                    split="tokens", merge="tokens")
    for merge in ("dh", "reshaped"):
        yield Variation("the heads are merged otherwise, " + ("channel by channel" if merge == "dh" else
                        "by a reshape without the transpose"), ("attended",), merge=merge)


def _flatten_orders(model):
    P, axes = model.config.patch_size, ("row", "column", "colour")

    def weight_as(a, order, back):
        sides = (P, P, 3)
        if back:
            return a.reshape(*(sides[i] for i in order), -1).transpose(*np.argsort(order), 3).reshape(a.shape)
        return a.reshape(*sides, -1).transpose(*order, 3).reshape(a.shape)

    for order in list(itertools.permutations(range(3)))[1:]:
        for back in (True, False):
            yield Variation(f"patches are flattened in another order: ({', '.join(axes[i] for i in order)})",
                            ("patches", "patch_embedding"),
                            _in_patches(lambda a, order=order, back=back: weight_as(a, order, back)))
    yield Variation("the colours are in the order blue, green, red", ("pixels",), input=lambda x: x[..., ::-1])
    yield Variation("the colours are in the order blue, green, red", ("patches", "patch_embedding"),
                    cut=lambda x: x[..., ::-1])
    yield Variation("patches are taken column by column", ("patches", "patch_embedding"),
                    cut=lambda x: _columns_first(x, P))


def _columns_first(x, P):
    patches = patch_embedding.patchify(x, P)
    rows, columns = x.shape[1] // P, x.shape[2] // P
    order = np.arange(rows * columns).reshape(rows, columns).T.ravel()
    return patch_embedding.unpatchify(patches[:, order], P, (rows, columns))


def _resamplings(model):
    origin = model.origin
    if origin is None or origin.grid in (None, model.config.grid):
        return
    table = origin.positions.astype(model.dtype)
    for way in sorted(position_resampling.WAYS, key=lambda way: way == origin.resample):
        new = position_resampling.resample(table, origin.grid, model.config.grid, way)
        cause = (f'positions are resampled otherwise: resample="{way}", found "{origin.resample}"'
                 if way != origin.resample else f'positions are resampled alike ("{way}"), but in float32')
        yield Variation(cause, ("embedded",), _positions(lambda _, new=new: new), tolerance=1e-6)


def _position_orders(model):
    rows, columns = model.config.grid
    cls = int(model.config.class_token)
    columns_first = np.arange(rows * columns).reshape(rows, columns).T.ravel()

    def patches(change):
        return _positions(lambda t: np.concatenate([t[:, :cls], change(t[:, cls:])], axis=1))

    changes = {"positions run column by column": patches(lambda t: t[:, columns_first]),
               "positions run column by column ": patches(lambda t: t[:, np.argsort(columns_first)]),
               "positions run from the last patch to the first": patches(lambda t: t[:, ::-1]),
               "positions are missing": _positions(np.zeros_like)}
    if cls:
        changes |= {"[CLS] has its position last": _positions(lambda t: np.roll(t, -1, axis=1)),
                    "[CLS] has its position last ": _positions(lambda t: np.roll(t, 1, axis=1)),
                    "[CLS] has no position: positions are added before it": _positions(
                        lambda t: np.concatenate([np.zeros_like(t[:, :1]), t[:, 1:]], axis=1))}
    for cause, change in changes.items():
        yield Variation(f"the position order is another: {cause.strip()}", ("embedded",), change)


def _scales(model):
    D, d = model.config.width, model.config.width // model.config.num_heads
    for words, factor in (("missing", math.sqrt(d)), ("1/√D, of the whole width", math.sqrt(d / D)),
                          ("1/d", 1 / math.sqrt(d)), ("applied twice, to q and to the scores", 1 / math.sqrt(d)),
                          ("√d instead of 1/√d", d)):
        yield Variation(f"the scale of the scores is {words}", ("scores",), scale=factor)


def _transposed(model):
    for part in ("proj", "qkv"):
        def turn(a, parts=3 if part == "qkv" else 1):
            return np.concatenate([w.T for w in np.split(a, parts, axis=1)], axis=1) if a.ndim == 2 else a
        yield Variation(f"attn.{part}.weight is transposed: (out, in) is read as (in, out)",
                        ("query",) if part == "qkv" else ("attended",), _in_attention(part, turn))


def _without_bias():
    def zero(a):
        return a if a.ndim == 2 else np.zeros_like(a)
    yield Variation("patch_embed.proj.bias is missing", ("patch_embedding",), _in_patches(zero, "bias"))
    for part, step in (("qkv", "query"), ("proj", "attended")):
        yield Variation(f"attn.{part}.bias is missing", (step,), _in_attention(part, zero))


def _with_config(model, **changes):
    changed = model.with_params(model.params)
    changed.config = replace(model.config, **changes)
    return changed


def _in_attention(part, change):
    def changed(model):
        blocks = []
        for block in model.params["blocks"]:
            section = {name: change(array) for name, array in block["attn"][part].items()}
            blocks.append({**block, "attn": {**block["attn"], part: section}})
        return model.with_params({**model.params, "blocks": blocks})
    return changed


def _in_patches(change, only_part="weight"):
    def changed(model):
        proj = dict(model.params["patch_embed"]["proj"])
        proj[only_part] = change(proj[only_part])
        return model.with_params({**model.params, "patch_embed": {"proj": proj}})
    return changed


def _positions(change):
    return lambda model: model.with_params({**model.params, "pos_embed": change(model.params["pos_embed"])})
