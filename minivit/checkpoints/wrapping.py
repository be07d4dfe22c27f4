"""What stands around a model's names: a wrapper's prefix, an optimiser's state, decoders, layers stacked in one array.

A prefix is whatever precedes the patch kernel's name; where there are several (a query encoder and its momentum copy)
none is preferred: `prefix` says which.
"""

import re
from dataclasses import replace

from ..errors import CheckpointError
from .source import first_few

# The patch kernel in each format's words, in OpenAI's CLIP, whose word is any network's, [CLS]; what precedes it is
# the wrapper's. "vit." is Hugging Face's own.
AFTER_PREFIX = re.compile(r"(?P<prefix>(?:.*?[./])??)(?:patch_embed\.proj\.weight|conv_proj\.weight|embedding/kernel|"
                          r"(?:visual\.)?(?<!embeddings\.)class_embedding|(?:vit\.|deit\.|vision_model\.)?"
                          r"embeddings\.(?:patch_embeddings\.projection|patch_embedding)\.weight)")
OPTIMISER = "the state of an optimiser, not of the model"
EXTRAS = {
    r"opt/(?!target/)|opt_state/|optimizer[./]|chrono/": OPTIMISER,
    r"(.*[./])?(mask_token$|decoder(_\w+)?(\.|/|$))": "it belongs to a decoder or to masked pre-training",
    r"(.*[./])?num_batches_tracked$": "a count of training steps",
    r"params/(txt/|t$|b$)": "the text side of a pair of towers",
}


def unwrapped(source, prefix=None):
    """The Source under the model's own names, and only those. Raises CheckpointError.

    A torch module is replaced by the part of it that has these names, so that its settings can be read.
    """
    extra = {name: why for name in source.shapes for pattern, why in EXTRAS.items() if re.match(pattern, name)}
    kept = [name for name in source.shapes if name not in extra]
    found = dict.fromkeys(match["prefix"] for name in kept if (match := AFTER_PREFIX.fullmatch(name)))
    if prefix is None:
        if len(found) > 1:
            raise CheckpointError(f"{source.label} holds a Vision Transformer under each of the prefixes "
                                  f"{', '.join(map(repr, found))}: say which with prefix=… (on the command line "
                                  "--prefix)")
        prefix = next(iter(found), "")
        outside = {}
    else:
        if prefix not in found:
            raise CheckpointError(f"{source.label} holds no Vision Transformer under prefix={prefix!r}; it has one "
                                  f"under {first_few([repr(name) for name in found]) or 'no prefix'}")
        outside = {name: f"it is outside the prefix {prefix!r}" for name in kept if not name.startswith(prefix)}
    theirs = {name.removeprefix(prefix): name for name in kept if name not in outside}
    if len(theirs) + len(outside) != len(kept):
        raise CheckpointError(f"{source.label} has a tensor both with and without the prefix {prefix!r}")
    module = source.module
    if module is not None and prefix:
        module = module.get_submodule(prefix.rstrip("."))
    return replace(source, shapes={ours: source.shapes[name] for ours, name in theirs.items()},
                   read=lambda ours: source.read(theirs[ours]), module=module,
                   ignored=source.ignored | extra | outside)


STACKED = re.compile(r"(.*Transformer/encoderblock)/(.*)")


def unstacked(source):
    """The Source with flax's scanned layers, one array for all of them, as a name a layer: encoderblock_0, …"""
    stacked = {name: match for name in source.shapes if (match := STACKED.fullmatch(name))}
    if not stacked:
        return source
    counts = {source.shapes[name][:1] for name in stacked}
    if len(counts) != 1 or counts == {()}:
        raise CheckpointError(f"{source.label}: its stacked layers are not of one number: "
                              f"{first_few([f'{name} {source.shapes[name]}' for name in stacked], 3)}")
    shapes, places, last = {}, {}, {}
    for name, shape in source.shapes.items():
        if name not in stacked:
            shapes[name] = shape
            continue
        for i in range(shape[0]):
            layer = f"{stacked[name][1]}_{i}/{stacked[name][2]}"
            shapes[layer], places[layer] = shape[1:], (name, i)

    def read(name):
        if name not in places:
            return source.read(name)
        whole, i = places[name]
        if whole not in last:
            last.clear()                            # one array at a time is held
            last[whole] = source.read(whole)
        return last[whole][i]

    return replace(source, shapes=shapes, read=read)
