"""What a port of a relative may do otherwise: LayerScale, attention pooling, two heads."""

import numpy as np

from .changes import in_blocks, in_entry
from .variation import Variation

SCALED = ("attended_scaled", "mlp_scaled")


def of_layer_scale(model):
    """LayerScale forgotten, or its two scales taken for one another."""
    if not model.config.layer_scale:
        return

    def of_layer(change):
        return in_blocks(lambda blocks, i: {**blocks[i], **change(blocks[i])})

    def ones(*names):
        return of_layer(lambda block: {name: {"gamma": np.ones_like(block[name]["gamma"])} for name in names})

    yield Variation("LayerScale is missing: the branches are added as they are", SCALED, ones("ls1", "ls2"))
    yield Variation("LayerScale is missing after attention: ls1.gamma is not multiplied by", SCALED[:1], ones("ls1"))
    yield Variation("LayerScale is missing after the MLP: ls2.gamma is not multiplied by", SCALED[1:], ones("ls2"))
    yield Variation("LayerScale's ls1 and ls2 are swapped", SCALED,
                    of_layer(lambda block: {"ls1": block["ls2"], "ls2": block["ls1"]}))


def of_pooling(model):
    """Attention pooling without its residual or its MLP, with keys and values swapped."""
    if model.config.pool != "map":
        return
    for words, end in (("attention pooling's residual is missing: its MLP's output stands alone",
                        lambda attended, mlp: mlp),
                       ("attention pooling's MLP is missing: what is attended to stands alone",
                        lambda attended, mlp: attended),
                       ("attention pooling's MLP is subtracted", lambda attended, mlp: attended - mlp)):
        yield Variation(words, ("representation",), choices={"after_pooling": end})

    def swapped(pool):
        kv = {name: np.concatenate(np.split(a, 2, axis=-1)[::-1], axis=-1) for name, a in pool["kv"].items()}
        return {**pool, "kv": kv}

    def latent_alone(pool):
        width = pool["q"]["weight"].shape[1]
        return {**pool, "q": {"weight": np.eye(width), "bias": np.zeros(width)}}

    yield Variation("attention pooling's keys and values are swapped: kv is read in the order v, k",
                    ("pool.key", "pool.value"), in_entry("attn_pool", swapped))
    yield Variation("attention pooling's query is the latent itself: q is not multiplied by", ("pool.query",),
                    in_entry("attn_pool", latent_alone))


def of_two_heads(model):
    """One head of two, or both put together otherwise."""
    if model.config.pool != "distilled":
        return
    for words, answer in (("the logits are the first head's alone, of [CLS]", lambda cls, dist: cls),
                          ("the logits are the second head's alone, of the distillation token", lambda cls, dist: dist),
                          ("the two heads' logits are added instead of averaged", lambda cls, dist: cls + dist)):
        yield Variation(words, ("logits",), choices={"answer": answer})
    yield Variation("the two heads are swapped: each reads the other's token", ("logits_cls", "logits_dist", "logits"),
                    lambda m: m if "head" not in m.params else m.with_params(
                        {**m.params, "head": m.params["head_dist"], "head_dist": m.params["head"]}))
