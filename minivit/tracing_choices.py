"""What lies between the linear maps of a trace: each as minivit has it, or as another author may have written it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import attention, cls_token, gelu, layer_norm, patch_embedding, softmax, swiglu
from .tracing_heads import after_pooling, mean_of_heads


def merge_heads(heads):
    """(B, H, T, d) -> (B, T, D): the heads side by side, [SA₁ … SA_H]."""
    B, H, T, d = heads.shape
    merged = np.empty_like(heads, shape=(B, T, H * d))
    attention.merge_view(merged, H)[...] = heads
    return merged


def add(x, branch, normed, params, eps):
    """x + branch, (B, T, D): what entered a branch of a layer, and what the branch made of it."""
    return x + branch


def pool_tokens(z, config):
    """What the final norm reads of z (B, T, D): all tokens, some of which are read later, or a mean (B, D)."""
    return z[:, config.first_pooled:].mean(axis=1) if config.pool == "mean" else z


def read_out(normed, config):
    """The representation (B, D), of normed tokens (B, T, D) or their normed mean (B, D)."""
    if config.pool == "normed_mean":
        return normed[:, config.first_pooled:].mean(axis=1)
    return normed if config.pool == "mean" else normed[:, 0]


def activation(x, form):
    """GELU in one of its forms, or SwiGLU. x: (B, T, M), or (B, T, 2M) for SwiGLU."""
    return swiglu.forward(x) if form == "swiglu" else gelu.forward(x, form, with_cache=False)


@dataclass(frozen=True)
class Choices:
    """The functions between the linear maps, each as minivit has it; `checking` puts others in their place.

    residual gets x, the branch, what the branch read (normed x), and the params and eps of the branch's LayerNorm.
    """

    cut: Callable = lambda x, P: patch_embedding.patchify(x, P)
    join: Callable = lambda x, params: cls_token.forward(x, params)
    norm: Callable = lambda x, params, eps: layer_norm.forward(x, params, eps)
    final_norm: Callable = lambda x, params, eps: layer_norm.forward(x, params, eps)
    split: Callable = lambda qkv, num_heads: attention.split_heads(qkv, num_heads)
    scores: Callable = lambda query, key: attention.scores(query, key)
    softmax: Callable = lambda scores: softmax.forward(scores)
    merge: Callable = merge_heads
    activation: Callable = activation
    residual: Callable = add
    first_norm: Callable = lambda x, params, eps: layer_norm.forward(x, params, eps)
    pool: Callable = pool_tokens
    read: Callable = read_out
    after_pooling: Callable = after_pooling
    answer: Callable = mean_of_heads


OURS = Choices()
