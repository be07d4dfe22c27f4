"""The head otherwise: what stands for the image, and whether it is normed."""

import numpy as np

from ... import layer_norm, tracing_choices
from ...head import norm_name
from .norms import nothing
from .variation import Variation


def of_head(model):
    """Another read-out, before or after the norm, and a head without its norm or bias."""
    yield Variation("the final LayerNorm is missing", ("norm", "representation"), choices={"final_norm": nothing})
    config = model.config
    if config.pool in ("map", "distilled"):
        return                                              # relatives.py has what their heads do otherwise
    first, T = config.num_prefix, config.num_tokens
    own = {"mean": "mean before norm", "normed_mean": "mean after norm", "cls": "[CLS]"}[config.pool]
    if config.pool != "cls" and config.pool_prefix and first:
        own = {"mean": "mean of all tokens before norm", "normed_mean": "mean of all tokens"}[config.pool]
    reads = {"mean after norm": lambda n: n[:, first:].mean(axis=1),
             "mean of all tokens": lambda n: n.mean(axis=1),
             "max after norm": lambda n: n[:, first:].max(axis=1),
             "max of all tokens": lambda n: n.max(axis=1),
             "the last token": lambda n: n[:, -1],
             "the first patch's token": lambda n: n[:, first],
             "sum of the patches": lambda n: n[:, first:].sum(axis=1),
             "mean of [CLS] and of the patches' mean": lambda n: (n[:, 0] + n[:, first:].mean(axis=1)) / 2,
             "[CLS] plus the patches' mean": lambda n: n[:, 0] + n[:, first:].mean(axis=1),
             "the middle token": lambda n: n[:, T // 2]}
    if config.pool != "cls":
        reads["[CLS]"] = lambda n: n[:, 0]
    for words, read in reads.items():
        if words != own and (first or words not in ("mean of all tokens", "max of all tokens", "[CLS]")):
            yield Variation(f"the read-out is another: {words}", ("norm", "representation"),
                            choices={"pool": lambda z, config: z,
                                     "read": lambda n, config, read=read: read(n) if n.ndim == 3 else n})
    pools = {"mean before norm": lambda z: z[:, first:].mean(axis=1), "mean of all tokens before norm":
             lambda z: z.mean(axis=1), "max before norm": lambda z: z[:, first:].max(axis=1)}
    for words, pool in pools.items():
        if words != own:
            yield Variation(f"the read-out is another: {words}", ("norm", "representation"),
                            choices={"pool": lambda z, config, pool=pool: pool(z), "read": lambda n, config: n})
    if config.pool == "mean":
        return

    def ends(words, change):
        return Variation(f"the representation is {words}", ("representation",),
                         choices={"read": lambda n, config: change(tracing_choices.read_out(n, config))})
    yield ends("divided by its length (L2)", lambda r: r / np.linalg.norm(r, axis=-1, keepdims=True))
    yield ends("put through tanh, as a pooler does it", np.tanh)
    yield ends("centred: its mean is subtracted", lambda r: r - r.mean(axis=-1, keepdims=True))
    norm = model.params[norm_name(config.pool)]
    yield ends("normed once more", lambda r: layer_norm.forward(r, norm, config.layer_norm_eps)[0])
