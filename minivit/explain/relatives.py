"""What a relative has that the plain ViT has not, in words; and what stands before its patches."""


def further_parts(config):
    """The parts of a config that the plain ViT has not, each in words: ["a distillation token", "two heads"]."""
    c, pooled = config, config.pool in ("mean", "normed_mean", "map")
    parts = {"a distillation token": c.dist_token, "two heads": c.pool == "distilled",
             f"{c.registers} register{'s' * (c.registers > 1)}": c.registers,
             "a norm before the layers": c.norm_pre, "LayerScale": c.layer_scale, "SwiGLU": c.gated_mlp,
             "attention pooling": c.pool == "map", "a mean after the norm": c.pool == "normed_mean",
             "pooling of all tokens": pooled and c.pool_prefix and c.num_prefix}
    return [words for words, there in parts.items() if there]


def other_conventions(config):
    """What changes no picture of the network, but its numbers: a form of GELU, positions, biases that are missing."""
    c = config
    conventions = {"QuickGELU": c.gelu == "quick" and not c.gated_mlp, "fixed positions": c.position == "fixed",
                   "positions for the patches alone": not c.prefix_positions and c.class_token and c.has_position_table,
                   "no bias of q, k and v": not c.qkv_bias, "no bias of the patches": not c.patch_bias}
    return [words for words, there in conventions.items() if there]


def check_plain(what, found):
    """Raises ValueError where `found`, such as further_parts(config), is not empty. what: "the drawing shows"."""
    if found:
        raise ValueError(f"{what} the plain ViT alone, and this model has {', '.join(found)}")


def check_plain_layers(blocks):
    """Raises ValueError for layers, a list of their params, that have LayerScale or SwiGLU."""
    for i, block in enumerate(blocks):
        gated = block["mlp"]["fc1"]["weight"].shape[1] != block["mlp"]["fc2"]["weight"].shape[0]
        if "ls1" in block or gated:
            raise ValueError(f"this looks at the plain ViT's layers, and layer {i} has "
                             f"{' and '.join(['LayerScale'] * ('ls1' in block) + ['SwiGLU'] * gated)}")


def check_reads_cls(config, what):
    """Raises ValueError for a relative, and for a model that reads something else than [CLS]."""
    check_plain(what, further_parts(config))
    if config.pool != "cls":
        raise ValueError(f'{what} a model that reads [CLS], pool="cls", and this one has pool="{config.pool}"')


def tokens_before(config):
    """Names of the tokens that stand before the patches: ("[CLS]", "distillation token", "register 0", …)."""
    return (*["[CLS]"] * config.class_token, *["distillation token"] * config.dist_token,
            *[f"register {i}" for i in range(config.registers)])
