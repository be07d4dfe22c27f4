"""A source of weights: named tensors of known shape, read one at a time, wherever they are."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from ..errors import CheckpointError


@dataclass
class Source:
    """What every container offers: a file, a folder or a torch module.

    label: what messages call it. shapes: {name: shape}, known before any payload is read. read: name -> array, float16,
    float32 or float64. metadata: a .safetensors file's own. settings: {file name: content} of the JSON files beside the
    weights. module: the torch module, where it is one. dtype: what the model's dtype will be unless told otherwise.
    ignored: {what was left out before names were matched: why}. assumed: what nothing tells and is taken from a
    convention, a phrase each, which `load` tells on stderr. commit: of a model by its name on the hub.
    """

    label: str
    shapes: dict
    read: Callable[[str], np.ndarray]
    metadata: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    module: object = None
    dtype: str = "float32"
    ignored: dict = field(default_factory=dict)
    assumed: list = field(default_factory=list)
    commit: str | None = None


@contextmanager
def damage_is_told(label, kind):
    """Whatever a parser raises for damaged or hostile bytes becomes one CheckpointError: it may raise anything."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(f"{label} is not a whole {kind}: {reason}") from None


def first_few(problems, most=10):
    """The problems in one line, the last ones counted instead of told."""
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problems[:most]) + more
