"""The step is right, but reads another array than minivit's: an earlier one, or its own turned round."""

import numpy as np

from ..places import WORDS
from .guess import Guess, alike, named


def of_place(place):
    """Each input replaced by every earlier array of its shape, by its transpose or by a shifted one."""
    for read in place.reads:
        own = place.read(read)
        if own is None:
            continue
        for words, array in place.before.items():
            if array.shape == own.shape and array is not own:
                for kinds in dict.fromkeys([(place.kind,), alike(place.kind)]):
                    yield _reading(place, kinds, read, words)
        if read in ("attention", "scores"):
            yield Guess(f"{place.kind} reads {WORDS[read]} transposed", (place.kind,),
                        lambda p, read=read: p.again(**{read: p.read(read).swapaxes(-1, -2)}))
        if read == "attention":
            yield Guess("attention is not applied: attended is made of each token's own value", ("attended",),
                        lambda p: p.again(attention=np.broadcast_to(np.eye(p.read("attention").shape[-1]),
                                                                    p.read("attention").shape)))


def _reading(place, kinds, read, words):
    name = WORDS.get(read, read) if place.kind != "norm" else "the last layer's output"
    verb = "read" if len(kinds) > 1 else "reads"
    return Guess(f"{named(kinds)} {verb} {words} instead of {name}", kinds,
                 lambda p: p.again(**{read: p.before[words]}) if words in p.before else None)


def of_missing_layers(place):
    """The final norm reads an earlier layer's output, the reference having none of the layers after that one."""
    if place.kind != "norm" or place.evidence.is_direct(place.name):
        return
    last = place.model.config.num_layers - 1
    for i in range(last - 1, -1, -1):
        words, missing = f"layer {i}'s output", last - i
        if words in place.before:
            told = "the last layer is" if missing == 1 else f"the last {missing} layers are"
            yield Guess(f"{told} missing: the final norm reads layer {i}'s output", ("norm",),
                        lambda p, words=words: p.again(input=p.before[words]))
