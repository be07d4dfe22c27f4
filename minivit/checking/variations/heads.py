"""Attention otherwise: the order of q, k and v, how heads are split and merged, the scale, the softmax, its mask."""

import itertools
import math

import numpy as np

from ... import attention, softmax, tracing_choices
from .changes import in_layers, with_config
from .variation import Variation

SPLIT = ("query", "key", "value")


def split_heads(qkv, num_heads, layout):
    """(B, T, 3D) -> q, k, v of (B, H, T, d). layout: how 3D is read, in parts p, heads h and features d of a head.

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


def merge_heads(heads, layout):
    """(B, H, T, d) -> (B, T, D). layout: "hd" heads side by side, "dh" their features in turn, or no transpose."""
    if layout in ("reshaped", "tokens"):
        B, first, second, d = heads.shape
        return heads.reshape(B, second, first * d) if layout == "reshaped" else heads.reshape(B, first, second * d)
    if layout == "hd":
        return tracing_choices.merge_heads(heads)
    B, H, T, d = heads.shape
    return heads.transpose(0, 2, 3, 1).reshape(B, T, H * d)


def _layout(cause, where, split=None, merge=None):
    choices = {"split": lambda qkv, H: split_heads(qkv, H, split)} if split else {}
    choices |= {"merge": lambda heads: merge_heads(heads, merge)} if merge else {}
    return Variation(cause, where, choices=choices)


def of_qkv(model):
    """The order of q, k and v, and one of them in another's place."""
    def parts(order):
        return in_layers("attn", "qkv", lambda a: np.concatenate([np.split(a, 3, axis=-1)[i] for i in order], axis=-1))

    for order in list(itertools.permutations(range(3)))[1:]:
        yield Variation(f"the parts of qkv are read in the order {', '.join('qkv'[i] for i in order)}", SPLIT,
                        parts(order))
    for order in ((0, 0, 2), (1, 1, 2), (0, 2, 2), (0, 1, 1), (2, 1, 2), (0, 1, 0)):
        one, other = next((i, j) for i, j in enumerate(order) if i != j)
        yield Variation(f"{'qkv'[one]} is made with {'qkv'[other]}'s weights: {'qkv'[other]} stands in its place",
                        SPLIT, parts(order))


def of_splits(model):
    """How many heads there are, and which features make one."""
    D, H = model.config.width, model.config.num_heads
    for heads in (n for n in range(1, D + 1) if D % n == 0 and n != H and (n <= 4 * H or n == D)):
        yield Variation(f"the heads are split otherwise: num_heads={heads}, found {H}", SPLIT,
                        lambda m, heads=heads: with_config(m, num_heads=heads))
    for layout in ("pdh", "hpd", "hdp", "dph", "dhp"):
        words = ", ".join({"p": "q/k/v", "h": "head", "d": "feature"}[letter] for letter in layout)
        for merge in ("hd", "dh"):
            yield _layout(f"the heads are split otherwise: 3D is read as ({words})", SPLIT, layout, merge)
    for merge in ("reshaped", "hd"):
        yield _layout("the heads are split by a reshape without the transpose", SPLIT, "reshaped", merge)
    yield _layout("the heads are split without the transpose: attention runs over the heads of one token",
                  (*SPLIT, "scores", "attention", "attended"), "tokens", "tokens")
    yield _layout("the heads are merged otherwise, feature by feature", ("attended",), merge="dh")
    yield _layout("the heads are merged otherwise, by a reshape without the transpose", ("attended",),
                  merge="reshaped")
    yield Variation("the heads are merged otherwise: in reverse order", ("attended",),
                    choices={"merge": lambda heads: tracing_choices.merge_heads(heads[:, ::-1])})


def of_scores(model):
    """The scale, the axis and the form of the softmax, and a mask."""
    D, d = model.config.width, model.config.width // model.config.num_heads
    for words, factor in (("missing", math.sqrt(d)), ("1/√D, of the whole width", math.sqrt(d / D)),
                          ("1/d", 1 / math.sqrt(d)), ("applied twice, to q and to the scores", 1 / math.sqrt(d)),
                          ("√d instead of 1/√d", d), ("1/√H, of the heads", math.sqrt(d / (D // d))),
                          ("1/√N, of the patches", math.sqrt(d / model.config.num_patches)),
                          ("1/√T, of the tokens", math.sqrt(d / model.config.num_tokens))):
        yield Variation(f"the scale of the scores is {words}", ("scores", "attention", "pool.scores", "pool.attention"),
                        choices={"scores": lambda q, k, factor=factor: attention.scores(q, k) * factor})
    yield Variation("the scores are k qᵀ instead of q kᵀ", ("scores",),
                    choices={"scores": lambda q, k: attention.scores(k, q)})

    def over(axis):
        return lambda s: softmax.forward(s.swapaxes(-1, axis))[0].swapaxes(-1, axis)

    def exponentials(s, base=math.e):
        return np.power(base, s - s.max(axis=-1, keepdims=True))

    def masked(kept):
        return lambda s: softmax.forward(np.where(kept(s.shape[-1]), s, -1e300))[0]

    forms = {
        "softmax runs over the wrong axis": over(-2),
        "softmax runs over the heads": over(1),
        "softmax runs over all scores of a head together": lambda s: softmax.forward(s.reshape(*s.shape[:2], -1))[0]
            .reshape(s.shape),
        "a causal mask: a token looks at itself and at those before it alone": masked(lambda T: np.tri(T, dtype=bool)),
        "a mask: a token looks at itself and at those after it alone": masked(lambda T: np.tri(T, dtype=bool).T),
        "a mask: no token looks at itself": masked(lambda T: ~np.eye(T, dtype=bool)),
        "a mask: no token looks at [CLS]": masked(lambda T: np.arange(T) > 0),
        "softmax has a 1 more in its denominator (softmax1)": lambda s: exponentials(s) / (
            np.exp(-s.max(axis=-1, keepdims=True)) + exponentials(s).sum(axis=-1, keepdims=True)),
        "softmax is missing: the scores are the weights": lambda s: s,
        "softmax does not divide by the sum: the weights are exp(s)": lambda s: np.exp(np.minimum(s, 700)),
        "softmax does not divide by the sum: the weights are exp(s - max)": exponentials,
        "the scores are divided by their sum: softmax without exp": lambda s: s / s.sum(axis=-1, keepdims=True),
        "the weights are a sigmoid of the scores instead of a softmax": lambda s: 0.5 * (1 + np.tanh(0.5 * s)),
        "softmax has the base 2": lambda s: softmax.forward(s * math.log(2))[0],
        "softmax of -s: the sign of the scores is turned": lambda s: softmax.forward(-s)[0],
        "softmax twice": lambda s: softmax.forward(softmax.forward(s)[0])[0],
        "the logarithm of softmax stands in its place": lambda s: np.log(np.maximum(softmax.forward(s)[0], 1e-300)),
        "the weights are transposed: each token is looked at by row": lambda s: softmax.forward(s)[0].swapaxes(-1, -2),
    }
    for words, form in forms.items():
        yield Variation(words, ("attention", "attended", "pool.attention", "pool.attended"), choices={"softmax": form})
