"""The Vision Transformer, forward and backward (Dosovitskiy et al. 2020, arXiv 2010.11929, section 3.1).

    z₀ = [x_class; x_p¹E; …; x_pᴺE] + E_pos         equation 1
    z' = z + MSA(LN(z))                              equation 2   } L layers
    z  = z' + MLP(LN(z'))                            equation 3   }
    y  = LN(z_L⁰)                                    equation 4

with MSA multi-head self-attention, LN LayerNorm, E the patch embedding and E_pos the position embeddings. What follows
equation 4, one linear map from y to the classes, is the classification head.

The letters, here and in every section:
    B images    H × W pixels    C = 3 channels    P patch side    N = HW/P² patches
    T tokens: N + 1 with [CLS]; fewer in training, where patches are dropped
    t queries: t = T, except in the last layer, where only the tokens that the head reads are queries
    D width: the features of a token    H heads, in (B, H, T, d)    d = D/H    M MLP width    L layers    K classes

Every section is a pair of functions. forward(x, params, …) returns y and a cache, what its backward pass needs from the
forward pass. backward(dy, cache) returns dx and grads, with the keys of params; a section without parameters takes
none, and returns dx alone. A gradient of the loss has the name of what it belongs to, with a d in front: dy is
d loss / d y and has the shape of y; dmlp is the dictionary of the gradients of the MLP's parameters. `backward` is
`forward` read from the bottom up.

Where a section says by_rows(f, x, y), the engine calls f(x, y) on some rows of the arrays at a time, so few that they
stay in the processor's cache, and on several cores (engine/tiles.py). A row is everything at one place of all axes but
the last. by_heads(f, q, k, …, out=y) does so with some heads at a time. What is computed is f, which writes its result
into the last arrays it is given: they are made beforehand, or the caller has one to spare and gives it as `out=`. What
stands in whole=(…) goes to f uncut, after the arrays. Both need arrays in NumPy's own order of axes, order="C", so that
a part of one is a view, and writing into the part writes into the whole. by_rows returns a list of what f returned.
"""

from . import cls_token, head, layer, layer_norm, patch_embedding, position_embedding
from .attention import ALL
from .normed_head import head_of
from .training import patch_dropout


def forward(x, params, config, with_cache=True, dropped=None):
    """Images to logits. x: (B, H, W, 3), pixels from 0 to 1, minus the model's mean and divided by its standard
    deviation, as model.prepare makes them. config: ViTConfig.

    params: nested dictionaries and lists, under the names that timm gives its ViTs. with_cache: False where no backward
    pass follows; the cache is then None and the layers' intermediates are freed on the way. dropped: what training
    leaves out, training.dropped.Dropped: `kept` says which patches stay, `layers` has for each layer the module
    `layer`, or a variant of it that some images skip. None for nothing.

    Returns logits (B, K), or the representation (B, D) of a model without classes, and the cache.
    """
    tokens, patch_cache = patch_embedding.forward(x, params["patch_embed"], config.patch_size)         # (B, N, D)
    tokens, cls_cache = cls_token.forward(tokens, only(params, *cls_token.NAMES))                      # (B, T, D)
    tokens, pos_cache = position_embedding.forward(tokens, only(params, "pos_embed"), config.position,
                                                   config.grid)                                        # (B, T, D)
    tokens, dropout_cache = patch_dropout.forward(tokens, dropped and dropped.kept)                    # (B, T, D)
    pre_cache = None
    if config.norm_pre:
        tokens, pre_cache = layer_norm.forward(tokens, params["norm_pre"], config.layer_norm_eps, with_cache)
    layers = dropped.layers if dropped else [layer] * config.num_layers
    layer_caches = []
    for section, block, queries in zip(layers, params["blocks"], queries_of_layers(config)):
        tokens, cache = section.forward(tokens, block, config.num_heads, config.layer_norm_eps,
                                        config.activation, with_cache, queries)                        # (B, t, D)
        if with_cache:
            layer_caches.append(cache)
    reading = head_of(config)
    logits, head_cache = reading.forward(tokens, only(params, *head.NAMES), config.pool, config.first_pooled,
                                         config.layer_norm_eps)                                        # (B, K)
    if not with_cache:
        return logits, None
    return logits, (patch_cache, cls_cache, pos_cache, dropout_cache, pre_cache, reading, layers, layer_caches,
                    head_cache)


def backward(dlogits, cache, layer_grads=None):
    """Gradients of `forward`, its sections in reverse. dlogits: (B, K).

    layer_grads: where memory is short, a mapping that receives layer i's gradients as layer_grads[i]; grads["blocks"]
    stays empty, and the cache is used up layer by layer. Returns dx, the gradient of every pixel (B, H, W, 3), and
    grads, nested like params.
    """
    patch_cache, cls_cache, pos_cache, dropout_cache, pre_cache, reading, layers, layer_caches, head_cache = cache
    blocks = layer_grads
    if layer_grads is None:
        blocks, layer_caches = {}, list(layer_caches)                   # a copy of the list: the cache stays whole
    dtokens, dhead = reading.backward(dlogits, head_cache)                                             # (B, t, D)
    for i in reversed(range(len(layers))):
        dtokens, blocks[i] = layers[i].backward(dtokens, layer_caches.pop())                           # (B, T, D)
    dpre = {}
    if pre_cache:
        dtokens, dpre["norm_pre"] = layer_norm.backward(dtokens, pre_cache)                            # (B, T, D)
    dtokens = patch_dropout.backward(dtokens, dropout_cache)                                           # (B, T, D)
    dtokens, dpos = position_embedding.backward(dtokens, pos_cache)                                    # (B, T, D)
    dtokens, dcls = cls_token.backward(dtokens, cls_cache)                                             # (B, N, D)
    dx, dpatch = patch_embedding.backward(dtokens, patch_cache)                                        # (B, H, W, 3)
    dblocks = in_order(blocks) if layer_grads is None else []
    return dx, {**dcls, **dpos, "patch_embed": dpatch, **dpre, "blocks": dblocks, **dhead}


def queries_of_layers(config):
    """The queries of each of the L layers, a slice each: all tokens, and in the last layer those that the head reads.

    Nothing reads what the last layer would make of the other tokens, so their attention weights, their output
    projection and their MLP are never computed. Their keys and values are, in every layer. The module `tracing`, which
    shows every step, computes all.
    """
    return [ALL] * (config.num_layers - 1) + [head.tokens_read(config.pool)]


def in_order(blocks):
    """{i: gradients of layer i} as a list, like params["blocks"]."""
    return [blocks[i] for i in sorted(blocks)]


def only(params, *names):
    """The entries of params with these names, where they are present: what one section needs."""
    return {name: params[name] for name in names if name in params}
