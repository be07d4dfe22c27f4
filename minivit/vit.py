"""The Vision Transformer, forward and backward (Dosovitskiy et al. 2020, arXiv 2010.11929, section 3.1).

    z₀ = [x_class; x_p¹E; …; x_pᴺE] + E_pos         equation 1
    z' = z + MSA(LN(z))                              equation 2   } L layers
    z  = z' + MLP(LN(z'))                            equation 3   }
    y  = LN(z_L⁰)                                    equation 4

The letters, here and in every section:
    B images    H × W pixels    C channels    P patch side    N patches    T tokens (N + 1 with [CLS])
    t of them that ask: all, but in the last layer those that the head reads
    D width     H heads         d = D/H       M MLP width     L layers     K classes

A gradient has the name of what it belongs to, with a d in front. `backward` is `forward` read from the bottom up.
"""

from . import cls_token, head, layer, patch_embedding, position_embedding
from .attention import ALL


def forward(x, params, config, keep=True):
    """Images to logits. x: (B, H, W, 3), normalised. params: nested under timm's names. config: ViTConfig.

    keep: False where no backward pass follows; the cache is then None and intermediates are freed on the way.
    Returns logits (B, K), or the representation (B, D) of a model without classes, and the cache.
    """
    tokens, patch_cache = patch_embedding.forward(x, params["patch_embed"], config.patch_size)         # (B, N, D)
    tokens, cls_cache = cls_token.forward(tokens, only(params, "cls_token"))                           # (B, T, D)
    tokens, pos_cache = position_embedding.forward(tokens, only(params, "pos_embed"), config.position,
                                                   config.grid)                                        # (B, T, D)
    layer_caches = []
    for block, asking in zip(params["blocks"], asking_tokens(config)):
        tokens, cache = layer.forward(tokens, block, config.num_heads, config.layer_norm_eps,
                                      config.gelu, keep, asking)                                       # (B, t, D)
        if keep:
            layer_caches.append(cache)
    logits, head_cache = head.forward(tokens, only(params, "norm", "fc_norm", "head"), config.pool,
                                      config.class_token, config.layer_norm_eps)                       # (B, K)
    if not keep:
        return logits, None
    return logits, (patch_cache, cls_cache, pos_cache, layer_caches, head_cache)


def backward(dlogits, cache, take=None):
    """Gradients of `forward`, its sections in reverse. dlogits: (B, K).

    take: where memory is short, take(i, grads) receives layer i's gradients instead of the result, and that layer's
    part of the cache is freed. Returns dx, the gradient of every pixel (B, H, W, 3), and grads, nested like params.
    """
    patch_cache, cls_cache, pos_cache, layer_caches, head_cache = cache
    dtokens, dhead = head.backward(dlogits, head_cache)                                                # (B, t, D)
    blocks = {}
    layer_caches = layer_caches if take else list(layer_caches)
    while layer_caches:
        dtokens, dblock = layer.backward(dtokens, layer_caches.pop())                                  # (B, T, D)
        (take or blocks.__setitem__)(len(layer_caches), dblock)
    dtokens, dpos = position_embedding.backward(dtokens, pos_cache)                                    # (B, T, D)
    dtokens, dcls = cls_token.backward(dtokens, cls_cache)                                             # (B, N, D)
    dx, dpatch = patch_embedding.backward(dtokens, patch_cache)                                        # (B, H, W, 3)
    return dx, {**dcls, **dpos, "patch_embed": dpatch, "blocks": in_order(blocks), **dhead}


def asking_tokens(config):
    """The tokens that ask in each of the L layers, a slice each: all, and in the last layer those that the head reads.

    What the last layer would make of the others nobody looks at, so their rows of A, their output projection and their
    MLP are never computed. All keys and values are looked at in every layer. `tracing` computes all, to show them.
    """
    return [ALL] * (config.num_layers - 1) + [head.tokens_read(config.pool)]


def in_order(blocks):
    """{i: gradients of layer i} as the list that params have."""
    return [blocks[i] for i in sorted(blocks)]


def only(params, *names):
    """The entries of params with these names, where they are present: what one section needs."""
    return {name: params[name] for name in names if name in params}
