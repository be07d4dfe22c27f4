"""The choices a port may have made otherwise: LayerNorm's eps, GELU's form, heads, scale, softmax, read-out, layout."""

import itertools
import math

import numpy as np

from . import orders
from .changes import in_attention, in_patches, with_config
from .switches import Variation

EPS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12)


def known(model):
    """Every Variation that is tried on a model, those first that are met most."""
    config = model.config
    yield from (eps_variation(model, eps) for eps in EPS if eps != config.layer_norm_eps)
    other = "tanh" if config.gelu == "erf" else "erf"
    gelu_form = Variation(f'GELU in its {other} form: gelu="{other}", found "{config.gelu}"', ("hidden",),
                          lambda m: with_config(m, gelu=other))
    yield gelu_form
    # Libraries differ in both: a reference that has only the logits shows them at once.
    yield from (eps_variation(model, eps).and_also(gelu_form) for eps in EPS if eps != config.layer_norm_eps)
    yield from _qkv_orders(model)
    yield from _head_splits(model)
    if config.position == "learned":
        yield from orders.resamplings(model)
        yield from orders.of_positions(model)
    yield from orders.of_pixels(model)
    yield Variation("the final LayerNorm is missing", ("norm", "representation"), readout="no norm")
    for readout in ("mean after norm", "mean of all tokens", "[CLS]"):
        if config.pool == "mean" or readout != "[CLS]":
            yield Variation(f"the read-out is another: {readout}", ("norm", "representation"), readout=readout)
    yield from _scales(model)
    yield Variation("softmax runs over the wrong axis", ("attention",), softmax_axis=-2)
    yield from _transposed()
    yield from _without_bias()


def eps_variation(model, eps):
    """LayerNorm's eps is another."""
    return Variation(f"LayerNorm's eps is {eps:.4g}: layer_norm_eps={eps:.4g}, found {model.config.layer_norm_eps:.4g}",
                     ("norm1", "norm2", "norm"), lambda m: with_config(m, layer_norm_eps=eps))


def _qkv_orders(model):
    for order in list(itertools.permutations(range(3)))[1:]:
        letters = ", ".join("qkv"[i] for i in order)
        yield Variation(f"the parts of qkv are read in the order {letters}", ("query", "key", "value"),
                        in_attention("qkv", lambda a, order=order: np.concatenate(
                            [np.split(a, 3, axis=-1)[i] for i in order], axis=-1)))


def _head_splits(model):
    D, H = model.config.width, model.config.num_heads
    for heads in (n for n in range(1, D + 1) if D % n == 0 and n != H and (n <= 4 * H or n == D)):
        yield Variation(f"the heads are split otherwise: num_heads={heads}, found {H}", ("query",),
                        lambda m, heads=heads: with_config(m, num_heads=heads))
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


def _scales(model):
    D, d = model.config.width, model.config.width // model.config.num_heads
    for words, factor in (("missing", math.sqrt(d)), ("1/√D, of the whole width", math.sqrt(d / D)),
                          ("1/d", 1 / math.sqrt(d)), ("applied twice, to q and to the scores", 1 / math.sqrt(d)),
                          ("√d instead of 1/√d", d)):
        yield Variation(f"the scale of the scores is {words}", ("scores",), scale=factor)


def _transposed():
    for part in ("proj", "qkv"):
        def turn(a, parts=3 if part == "qkv" else 1):
            return np.concatenate([w.T for w in np.split(a, parts, axis=1)], axis=1) if a.ndim == 2 else a
        yield Variation(f"attn.{part}.weight is transposed: (out, in) is read as (in, out)",
                        ("query",) if part == "qkv" else ("attended",), in_attention(part, turn))


def _without_bias():
    def zero(a):
        return a if a.ndim == 2 else np.zeros_like(a)
    yield Variation("patch_embed.proj.bias is missing", ("patch_embedding",), in_patches(zero, "bias"))
    for part, step in (("qkv", "query"), ("proj", "attended")):
        yield Variation(f"attn.{part}.bias is missing", (step,), in_attention(part, zero))
