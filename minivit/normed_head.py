"""The relatives' heads: the final norm comes first, over all tokens, then what stands for the image is made of them.

    "normed_mean"  y = mean of LN(z_L) over the patches
    "map"          y = attention pooling of LN(z_L) over the patches (attention_pooling.py)
    logits = y W + b

    "distilled"    LN(z_L) at [CLS] and at the distillation token, each with a head of its own (distillation.py)

The plain ViT's read-outs are in head.py. A model without classes ends at the representation y.
"""

from dataclasses import dataclass

import numpy as np

from . import attention_pooling, distillation, head, layer_norm, linear


@dataclass
class NormedHead:
    """A head that `vit` calls in the place of the module `head`. num_heads, gelu: attention pooling's."""

    num_heads: int = 1
    gelu: str = "erf"

    def forward(self, x, params, pool="normed_mean", first=1, eps=1e-6):
        """As `head.forward`. x: (B, T, D). params: norm; attn_pool for "map"; head, and head_dist for "distilled".

        Returns the logits (B, K), or the representation (B, D) where there is no head, and the cache.
        """
        read = slice(0, 2) if pool == "distilled" else slice(first, None)
        normed, norm_cache = layer_norm.forward(x[:, read], params["norm"], eps)                       # (B, n, D)
        pool_cache = head_cache = None
        if pool == "distilled":
            y, head_cache = distillation.forward(normed, params)                                       # (B, K)
        elif pool == "map":
            y, pool_cache = attention_pooling.forward(normed, params["attn_pool"], self.num_heads, eps,
                                                      self.gelu)                                       # (B, D)
        else:
            y = normed.mean(axis=1)                                                                    # (B, D)
        if pool != "distilled" and "head" in params:
            y, head_cache = linear.forward(y, params["head"])                                          # (B, K)
        return y, (x.shape, read, pool, norm_cache, pool_cache, head_cache)

    def backward(self, dy, cache):
        """As `head.backward`. dy: (B, K). Returns dx, of the shape of x, and grads."""
        shape, read, pool, norm_cache, pool_cache, head_cache = cache
        dpool, dhead = {}, {}
        if pool == "distilled":
            dnormed, dhead = distillation.backward(dy, head_cache)                                     # (B, 2, D)
        elif head_cache is not None:
            dy, dhead["head"] = linear.backward(dy, head_cache)                                        # (B, D)
        if pool == "map":
            dnormed, dpool["attn_pool"] = attention_pooling.backward(dy, pool_cache)                   # (B, n, D)
        elif pool == "normed_mean":
            n = shape[1] - read.start
            dnormed = np.repeat(dy[:, None] / n, n, axis=1)                                            # (B, n, D)
        dx = np.zeros_like(dy, shape=shape)                                                            # (B, T, D)
        dx[:, read], dnorm = layer_norm.backward(dnormed, norm_cache)
        return dx, {"norm": dnorm, **dpool, **dhead}


def head_of(config):
    """The section that reads an image's vector out of the tokens: the module `head`, or a NormedHead."""
    return head if config.pool in head.POOLS else NormedHead(config.num_heads, config.gelu)
