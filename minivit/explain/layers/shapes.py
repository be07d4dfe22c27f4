"""Every shape on the way from pixels to probabilities, in letters and in numbers."""

LETTERS = {
    "pixels": "B H W C", "patches": "B N P²C", "patch_embedding": "B N D", "tokens": "B T D", "embedded": "B T D",
    "norm1": "B T D", "query": "B H T d", "key": "B H T d", "value": "B H T d", "scores": "B H T T",
    "attention": "B H T T", "attended": "B T D", "residual1": "B T D", "norm2": "B T D", "hidden": "B T M",
    "mlp": "B T D", "output": "B T D", "norm": "B T D", "representation": "B D", "logits": "B K",
    "probabilities": "B K",
}
RELATIVES = {
    "norm_pre": "B T D", "attended_scaled": "B T D", "mlp_scaled": "B T D", "logits_cls": "B K", "logits_dist": "B K",
    "pool.query": "B H 1 d", "pool.key": "B H n d", "pool.value": "B H n d", "pool.scores": "B H 1 n",
    "pool.attention": "B H 1 n", "pool.attended": "B 1 D", "pool.norm": "B 1 D", "pool.hidden": "B 1 M",
    "pool.mlp": "B 1 D",
}


def letter_values(config, batch=1):
    """{letter: value} of a config. H is the image's height in (B, H, W, C) and the head count in (B, H, T, T).

    n, of attention pooling alone: the tokens that are pooled.
    """
    height, width = config.height_width
    pooled = {"n": config.num_tokens - config.first_pooled} if config.pool == "map" else {}
    return {"B": batch, "C": 3, "H, W": f"{height}, {width}", "P": config.patch_size, "N": config.num_patches,
            "T": config.num_tokens, "D": config.width, "H": config.num_heads, "d": config.width // config.num_heads,
            "M": config.mlp_width, "L": config.num_layers, "K": config.num_classes} | pooled


def letters_of(name, pool="cls", classes=True):
    """The shape of one step of the trace in letters; average pooling comes before the final norm, not after it.

    classes: whether the model has any; two heads read two tokens, a model without them their mean.
    """
    if pool == "mean" and name == "norm":
        return "B D"
    if pool == "distilled" and classes and name == "representation":
        return "B 2 D"
    inner = name if name.startswith("pool.") else name.split(".")[-1]
    return (RELATIVES | LETTERS)[inner]


def expected_shape(name, config, batch=1):
    """The shape that the letters give to one step of the trace, such as "layer.0.query"."""
    letters = letters_of(name, config.pool, config.num_classes > 0).split()
    values = letter_values(config, batch) | {"P²C": config.patch_size ** 2 * 3}
    values["H"] = config.height_width[0] if name == "pixels" else config.num_heads
    values["W"] = config.height_width[1]
    return tuple(int(letter) if letter.isdigit() else values[letter] for letter in letters)


def steps_of_one_layer(trace):
    """The names of a trace, of the layers only the first one, for the others have the same steps."""
    return [name for name in trace if not name.startswith("layer.") or name.startswith("layer.0.")]


def print_shapes(**traces):
    """A row a step: its name, its shape in letters, and its shape in each trace: print_shapes(packaged=p.trace)."""
    first = next(iter(traces.values()))
    pool = "mean" if first["norm"].ndim == 2 else "distilled" if "logits_dist" in first else "cls"
    names = steps_of_one_layer(first)
    wide = max(20, 2 + max(map(len, names)))
    print(f"{'step':{wide}}{'letters':10}" + "".join(f"{title:>20}" for title in traces))
    for name in names:
        shapes = (" ".join(map(str, trace[name].shape)) for trace in traces.values())
        print(f"{name:{wide}}{letters_of(name, pool):10}" + "".join(f"{shape:>20}" for shape in shapes))
