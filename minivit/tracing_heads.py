"""Every named step of the relatives' heads, from the normed tokens on, as `tracing` has those of the plain ViT."""

import numpy as np

from . import attention_pooling, layer_norm, linear


def after_pooling(attended, mlp):
    """What attention pooling returns, (B, 1, D), of what was attended and what its MLP made of it."""
    return attended + mlp


def mean_of_heads(logits_cls, logits_dist):
    """The answer (B, K) of two heads."""
    return 0.5 * (logits_cls + logits_dist)


def pooling_steps(s, params, config, choices):
    """Attention pooling of s["norm"] (B, T, D). params: attn_pool's."""
    tokens = s["norm"][:, config.first_pooled:]                                            # (B, n, D)
    query, key, value, _, _ = attention_pooling.queries_keys_values(tokens, params, config.num_heads)
    yield "pool.query", query                                                              # (B, H, 1, d)
    yield "pool.key", key                                                                  # (B, H, n, d)
    yield "pool.value", value                                                              # (B, H, n, d)
    yield "pool.scores", choices.scores(s["pool.query"], s["pool.key"])                    # (B, H, 1, n)
    yield "pool.attention", choices.softmax(s["pool.scores"])                              # (B, H, 1, n)
    merged = choices.merge(s["pool.attention"] @ s["pool.value"])                          # (B, 1, D)
    yield "pool.attended", linear.forward(merged, params["proj"])                          # (B, 1, D)
    yield "pool.norm", layer_norm.forward(s["pool.attended"], params["norm"], config.layer_norm_eps)      # (B, 1, D)
    expanded, _ = linear.forward(s["pool.norm"], params["mlp"]["fc1"])                     # (B, 1, M)
    yield "pool.hidden", choices.activation(expanded, config.gelu)                         # (B, 1, M)
    yield "pool.mlp", linear.forward(s["pool.hidden"], params["mlp"]["fc2"])               # (B, 1, D)
    yield "representation", choices.after_pooling(s["pool.attended"], s["pool.mlp"])[:, 0]                # (B, D)


def distilled_steps(s, params, choices):
    """The two heads of a distilled model on s["norm"] (B, T, D), or the mean of the two tokens without classes."""
    if "head" not in params:
        yield "representation", s["norm"][:, :2].mean(axis=1)                              # (B, D)
        return
    yield "representation", np.ascontiguousarray(s["norm"][:, :2])                         # (B, 2, D)
    yield "logits_cls", linear.forward(s["representation"][:, 0], params["head"])          # (B, K)
    yield "logits_dist", linear.forward(s["representation"][:, 1], params["head_dist"])    # (B, K)
    yield "logits", choices.answer(s["logits_cls"], s["logits_dist"])                      # (B, K)
