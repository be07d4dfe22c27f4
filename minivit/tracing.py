"""Every named step from pixels to probabilities: the whole network once more, one line a step.

`vit.forward` composes sections; here the sections are opened, so that each intermediate can be looked at by name.
"""

import numpy as np

from . import attention, cls_token, gelu, layer_norm, linear, patch_embedding, position_embedding, softmax
from .explain import screens
from .head import norm_name
from .vit import only


class Trace(dict[str, np.ndarray]):
    """{name: array} in the network's order. It prints a line a step instead of its numbers."""

    def __repr__(self) -> str:
        return screens.trace_screen(self).as_text()

    def _repr_html_(self) -> str:
        return screens.trace_screen(self).as_html()


def trace(model, x):
    """The Trace, {name: array} in the network's order, of prepared images x (B, H, W, 3)."""
    config, params, eps = model.config, model.params, model.config.layer_norm_eps
    steps = {"pixels": x}                                                                  # (B, H, W, 3)
    steps["patches"] = patch_embedding.patchify(x, config.patch_size)                      # (B, N, P²C)
    steps["patch_embedding"], _ = linear.forward(steps["patches"], params["patch_embed"]["proj"])     # (B, N, D)
    steps["tokens"], _ = cls_token.forward(steps["patch_embedding"], only(params, "cls_token"))       # (B, T, D)
    z, _ = position_embedding.forward(steps["tokens"], only(params, "pos_embed"), config.position, config.grid)
    steps["embedded"] = z                                                                  # (B, T, D)
    for i, block in enumerate(params["blocks"]):
        layer_steps = _trace_layer(z, block, config)
        steps |= {f"layer.{i}.{name}": array for name, array in layer_steps.items()}
        z = layer_steps["output"]                                                          # (B, T, D)
    final_norm = params[norm_name(config.pool)]
    if config.pool == "cls":
        steps["norm"], _ = layer_norm.forward(z, final_norm, eps)                          # (B, T, D)
        representation = steps["norm"][:, 0]                                               # (B, D)
    else:
        pooled = z[:, int(config.class_token):].mean(axis=1)
        steps["norm"], _ = layer_norm.forward(pooled, final_norm, eps)                     # (B, D)
        representation = steps["norm"]
    steps["representation"] = representation
    if "head" in params:
        steps["logits"], _ = linear.forward(representation, params["head"])                # (B, K)
        steps["probabilities"], _ = softmax.forward(steps["logits"])                       # (B, K)
    return Trace(steps)


def attention_maps(model, x):
    """The attention of every layer, (B, H, T, T) each."""
    return [array for name, array in trace(model, x).items() if name.endswith(".attention")]


def _trace_layer(x, params, config):
    """The steps of one encoder layer on x (B, T, D), as in equations 2 and 3 and 5 to 8."""
    steps, eps, H = {}, config.layer_norm_eps, config.num_heads
    steps["norm1"], _ = layer_norm.forward(x, params["norm1"], eps)                        # (B, T, D)
    qkv, _ = linear.forward(steps["norm1"], params["attn"]["qkv"])                         # (B, T, 3D)
    steps["query"], steps["key"], steps["value"] = attention.split_heads(qkv, H)           # (B, H, T, d) each
    steps["scores"] = attention.scores(steps["query"], steps["key"])                       # (B, H, T, T)
    steps["attention"], _ = softmax.forward(steps["scores"])                               # (B, H, T, T)
    merged = np.empty_like(steps["norm1"])                                                 # (B, T, D)
    np.matmul(steps["attention"], steps["value"], out=attention.merge_view(merged, H))     # [SA₁ … SA_H]
    steps["attended"], _ = linear.forward(merged, params["attn"]["proj"])                  # (B, T, D)
    steps["residual1"] = x + steps["attended"]                                             # (B, T, D)
    steps["norm2"], _ = layer_norm.forward(steps["residual1"], params["norm2"], eps)       # (B, T, D)
    expanded, _ = linear.forward(steps["norm2"], params["mlp"]["fc1"])                     # (B, T, M)
    steps["hidden"], _ = gelu.forward(expanded, config.gelu, with_cache=False)                   # (B, T, M)
    steps["mlp"], _ = linear.forward(steps["hidden"], params["mlp"]["fc2"])                # (B, T, D)
    steps["output"] = steps["residual1"] + steps["mlp"]                                    # (B, T, D)
    return steps
