"""Every shape on the way from pixels to probabilities, in letters and in numbers."""

LETTERS = {
    "pixels": "B H W C", "patches": "B N P²C", "patch_embedding": "B N D", "tokens": "B T D", "embedded": "B T D",
    "norm1": "B T D", "query": "B H T d", "key": "B H T d", "value": "B H T d", "scores": "B H T T",
    "attention": "B H T T", "attended": "B T D", "residual1": "B T D", "norm2": "B T D", "hidden": "B T M",
    "mlp": "B T D", "output": "B T D", "norm": "B T D", "representation": "B D", "logits": "B K",
    "probabilities": "B K",
}


def letter_values(config, batch=1):
    """{letter: value} of a config. H is the image's height in (B, H, W, C) and the head count in (B, H, T, T)."""
    height, width = config.height_width
    return {"B": batch, "C": 3, "H, W": f"{height}, {width}", "P": config.patch_size, "N": config.num_patches,
            "T": config.num_tokens, "D": config.width, "H": config.num_heads, "d": config.width // config.num_heads,
            "M": config.mlp_width, "L": config.num_layers, "K": config.num_classes}


def letters_of(name, pool="cls"):
    """The shape of one step of the trace in letters; average pooling comes before the final norm, not after it."""
    return "B D" if name == "norm" and pool == "mean" else LETTERS[name.split(".")[-1]]


def expected_shape(name, config, batch=1):
    """The shape that the letters give to one step of the trace, such as "layer.0.query"."""
    letters = letters_of(name, config.pool).split()
    values = letter_values(config, batch) | {"P²C": config.patch_size ** 2 * 3}
    values["H"] = config.height_width[0] if name == "pixels" else config.num_heads
    values["W"] = config.height_width[1]
    return tuple(values[letter] for letter in letters)


def steps_of_one_layer(trace):
    """The names of a trace, of the layers only the first one, for the others have the same steps."""
    return [name for name in trace if not name.startswith("layer.") or name.startswith("layer.0.")]


def print_shapes(**traces):
    """A row a step: its name, its shape in letters, and its shape in each trace: print_shapes(packaged=p.trace)."""
    names = steps_of_one_layer(next(iter(traces.values())))
    print(f"{'step':20}{'letters':10}" + "".join(f"{title:>20}" for title in traces))
    for name in names:
        shapes = (" ".join(map(str, trace[name].shape)) for trace in traces.values())
        print(f"{name:20}{LETTERS[name.split('.')[-1]]:10}" + "".join(f"{shape:>20}" for shape in shapes))
