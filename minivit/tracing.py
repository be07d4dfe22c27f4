"""Every named step from pixels to probabilities: the whole network once more, one line a step.

`vit.forward` composes sections; here the sections are opened, so that each intermediate can be looked at by name. A
line makes a step out of `s`, the steps before it. tracing_choices.py holds what another author may have written
otherwise.
"""

import numpy as np

from . import cls_token, linear, position_embedding, softmax
from .counting import trace_count
from .engine import memory
from .explain import screens
from .head import norm_name
from .tracing_choices import OURS
from .tracing_heads import distilled_steps, pooling_steps
from .vit import only


class Trace(dict[str, np.ndarray]):
    """{name: array} in the network's order. It prints a line a step instead of its numbers."""

    def __repr__(self) -> str:
        return screens.trace_screen(self).as_text()

    def _repr_html_(self) -> str:
        return screens.trace_screen(self).as_html()


def trace(model, x):
    """The Trace, {name: array} in the network's order, of prepared images x (B, H, W, 3). Raises MemoryError."""
    memory.check_fits(trace_count(model.config) * len(x) * x.dtype.itemsize, f"the trace of {len(x)} image(s)")
    return Trace(steps(model, x))


def attention_maps(model, x):
    """The attention of every layer, (B, H, T, T) each."""
    return [array for name, array in steps(model, x) if is_attention_map(name)]


def is_attention_map(name):
    """Whether a step is a layer's attention weights; attention pooling has its own, "pool.attention"."""
    return name.startswith("layer.") and name.endswith(".attention")


def steps(model, x, choices=OURS, z=None, first_layer=0, given=None):
    """(name, array) of each step in the network's order, one by one, for prepared images x (B, H, W, 3).

    z: what enters layer `first_layer`, (B, T, D), to begin there. given: {name: array} that the later steps read in
    place of what was computed here: so another network's steps are made again, each from that network's own input.
    """
    config, params = model.config, model.params
    if z is None:
        s = {}
        yield from _in_turn(_embedding(s, x, params, config, choices), s, "", given)
        z = s["norm_pre" if config.norm_pre else "embedded"]                               # (B, T, D)
    for i in range(first_layer, config.num_layers):
        s = {"input": z}
        yield from _in_turn(_layer(s, params["blocks"][i], config, choices), s, f"layer.{i}.", given)
        z = s["output"]                                                                    # (B, T, D)
    s = {"input": z}
    yield from _in_turn(_head(s, params, config, choices), s, "", given)


def _embedding(s, x, params, config, choices):
    """Equation 1: from pixels to tokens that know their place."""
    yield "pixels", x                                                                      # (B, H, W, 3)
    yield "patches", choices.cut(s["pixels"], config.patch_size)                           # (B, N, P²C)
    yield "patch_embedding", linear.forward(s["patches"], params["patch_embed"]["proj"])   # (B, N, D)
    yield "tokens", choices.join(s["patch_embedding"], only(params, *cls_token.NAMES))     # (B, T, D)
    yield "embedded", position_embedding.forward(s["tokens"], only(params, "pos_embed"), config.position,
                                                 config.grid)                              # (B, T, D)
    if config.norm_pre:
        yield "norm_pre", choices.first_norm(s["embedded"], params["norm_pre"], config.layer_norm_eps)    # (B, T, D)


def _layer(s, params, config, choices):
    """One encoder layer on s["input"] (B, T, D), as in equations 2 and 3 and 5 to 8."""
    eps, H = config.layer_norm_eps, config.num_heads
    yield "norm1", choices.norm(s["input"], params["norm1"], eps)                          # (B, T, D)
    qkv, _ = linear.forward(s["norm1"], params["attn"]["qkv"])                             # (B, T, 3D)
    query, key, value = choices.split(qkv, H)
    yield "query", query                                                                   # (B, H, T, d)
    yield "key", key                                                                       # (B, H, T, d)
    yield "value", value                                                                   # (B, H, T, d)
    yield "scores", choices.scores(s["query"], s["key"])                                   # (B, H, T, T)
    yield "attention", choices.softmax(s["scores"])                                        # (B, H, T, T)
    merged = choices.merge(s["attention"] @ s["value"])                                    # (B, T, D)
    yield "attended", linear.forward(merged, params["attn"]["proj"])                       # (B, T, D)
    branch = "attended"
    if config.layer_scale:
        branch = "attended_scaled"
        yield branch, s["attended"] * params["ls1"]["gamma"]                               # (B, T, D)
    yield "residual1", choices.residual(s["input"], s[branch], s["norm1"], params["norm1"], eps)      # (B, T, D)
    yield "norm2", choices.norm(s["residual1"], params["norm2"], eps)                      # (B, T, D)
    expanded, _ = linear.forward(s["norm2"], params["mlp"]["fc1"])                         # (B, T, M)
    yield "hidden", choices.activation(expanded, config.activation)                        # (B, T, M)
    yield "mlp", linear.forward(s["hidden"], params["mlp"]["fc2"])                         # (B, T, D)
    branch = "mlp"
    if config.layer_scale:
        branch = "mlp_scaled"
        yield branch, s["mlp"] * params["ls2"]["gamma"]                                    # (B, T, D)
    yield "output", choices.residual(s["residual1"], s[branch], s["norm2"], params["norm2"], eps)     # (B, T, D)


def _head(s, params, config, choices):
    """Equation 4 and the classifier, on what the last layer returned, s["input"] (B, T, D)."""
    final = params[norm_name(config.pool)]
    pooled = choices.pool(s["input"], config)                                              # (B, T, D), or (B, D)
    yield "norm", choices.final_norm(pooled, final, config.layer_norm_eps)
    if config.pool == "distilled":
        yield from distilled_steps(s, params, choices)                                     # (B, K) at the end
    elif config.pool == "map":
        yield from pooling_steps(s, params["attn_pool"], config, choices)                  # (B, D)
    else:
        yield "representation", choices.read(s["norm"], config)                            # (B, D)
    if "head" in params and config.pool != "distilled":
        yield "logits", linear.forward(s["representation"], params["head"])                # (B, K)
    if "head" in params:
        yield "probabilities", softmax.forward(s["logits"])                                # (B, K)


def _in_turn(section, s, prefix, given):
    """(name, array) of a section's steps. Each is put into s before the next is made; what is `given` in its place."""
    for name, made in section:
        array = made[0] if isinstance(made, tuple) else made        # a section's forward returns its cache as well
        s[name] = (given or {}).get(prefix + name, array)
        yield prefix + name, array
