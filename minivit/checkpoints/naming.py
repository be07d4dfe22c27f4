"""From a format's table of names to one name, or three, for each of minivit's tensors.

A table has a row a module: {minivit's (timm's) name: theirs}, with the separator that theirs puts before the last part.
{i} is the layer; a tuple holds q, k and v where they are apart.
"""

import re

BARE = ("cls_token", "dist_token", "reg_token", "pos_embed", "attn_pool.latent")
NORMS = ("norm", "norm1", "norm2", "fc_norm", "norm_pre")
SCALES = ("ls1", "ls2")
LAYER_PARTS = ("weight", "bias", "running_mean", "running_var", "weight_g", "weight_v")
PYTORCH_PARTS = {"weight": "weight", "bias": "bias"}
SCALE_PARTS = {"gamma": "gamma"}


def parts_of(module):
    """{minivit's last part of a name: theirs} of a module of PyTorch."""
    return SCALE_PARTS if module in SCALES else PYTORCH_PARTS


def expand(table, layer_table, layer_pattern, names, parts=parts_of):
    """{minivit's name: (their name, …)} of every tensor that a model in this format may have.

    layer_pattern: a regular expression whose group is a layer's number. parts: module -> {"weight": …, "bias": …} in
    their words. Layers are counted, not believed: a name that says blocks.999999 does not make a million layers.
    """
    layers = len({match[1] for name in names if (match := re.match(layer_pattern, name))})
    rows = dict(table)
    for i in range(layers):
        rows |= {f"blocks.{i}.{module}": theirs for module, theirs in layer_table.items()}
    places = {}
    for module, theirs in rows.items():
        theirs = theirs if isinstance(theirs, tuple) else (theirs,)
        i = module.split(".")[1] if module.startswith("blocks.") else ""
        stems = tuple(stem.replace("{i}", i) for stem in theirs)
        if module in BARE:
            places[module] = stems
        else:
            for part, their_part in parts(module.split(".")[-1]).items():
                places[f"{module}.{part}"] = tuple(stem + their_part for stem in stems)
    return places


def head_stem(names, pattern):
    """What stands before "weight" and "bias" of a linear head, where there is one, else None.

    pattern: the stems that a head may have, such as head. alone and head.1. behind a dropout. Two stems are two layers.
    """
    stems = head_stems(names, pattern)
    return stems[0] if len(stems) == 1 else None


def head_stems(names, pattern):
    """The stems of all layers that the head has."""
    return list(dict.fromkeys(name[:match.end()] for name in names
                              if (match := re.match(pattern, name)) and name[match.end():] in LAYER_PARTS))
