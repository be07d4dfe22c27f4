"""Each step made again from the reference's own input: what a step is, apart from all that went wrong before it."""

from functools import cached_property

import numpy as np

from . import variations
from .verdict import GRADIENT

# What rounding alone leaves of one step, with room: attention amplifies it.
TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-2}
ROOM = 16
PIXELS = 1e-6             # normalisation is in float32 everywhere, its operations in this order or that
PLAIN = variations.Variation()
READS = {"patches": ("pixels",), "patch_embedding": ("patches",), "tokens": ("patch_embedding",),
         "embedded": ("tokens",), "norm1": ("input",), "query": ("norm1",), "key": ("norm1",), "value": ("norm1",),
         "scores": ("query", "key"), "attention": ("scores",), "attended": ("attention", "value"),
         "residual1": ("input", "attended"), "norm2": ("residual1",), "hidden": ("norm2",), "mlp": ("hidden",),
         "output": ("residual1", "mlp"), "norm": ("input",), "representation": ("norm",),
         "logits": ("representation",), "probabilities": ("logits",)}
POOLING = {"pool.key": ("norm",), "pool.value": ("norm",), "pool.scores": ("pool.query", "pool.key"),
           "pool.attention": ("pool.scores",), "pool.attended": ("pool.attention", "pool.value"),
           "pool.norm": ("pool.attended",), "pool.hidden": ("pool.norm",), "pool.mlp": ("pool.hidden",),
           "representation": ("pool.attended", "pool.mlp")}
TWO_HEADS = {"logits_cls": ("representation",), "logits_dist": ("representation",),
             "logits": ("logits_cls", "logits_dist")}


def reads_of(config):
    """{kind of step: the kinds that it reads}, "input" being what enters its layer, or the final norm."""
    reads = dict(READS)
    if config.norm_pre:
        reads["norm_pre"] = ("embedded",)
    if config.layer_scale:
        reads |= {"attended_scaled": ("attended",), "residual1": ("input", "attended_scaled"),
                  "mlp_scaled": ("mlp",), "output": ("residual1", "mlp_scaled")}
    if config.pool == "map":
        reads |= POOLING
    elif config.pool == "distilled" and config.num_classes:
        reads |= TWO_HEADS
    return reads


def relative(ours, theirs):
    """‖ours − theirs‖ / ‖theirs‖, infinite for another shape or values that are not finite.

    −∞ on both sides is alike: what a mask writes into scores.
    """
    if ours.shape != theirs.shape:
        return np.inf
    if (hidden := np.isneginf(theirs)).any():
        if not np.array_equal(hidden, np.isneginf(ours)):
            return np.inf
        ours, theirs = ours[~hidden], theirs[~hidden]
    if not np.isfinite(theirs).all():
        return np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        difference = float(np.linalg.norm(ours - theirs)) / max(float(np.linalg.norm(theirs)), 1e-300)
    return difference if np.isfinite(difference) else np.inf


def blurred(array, dtype):
    """An array moved, at random, as far as rounding to dtype may have moved it."""
    last_digit = np.spacing(np.abs(array).astype(dtype)).astype(np.float64)
    return array + last_digit * (np.random.default_rng(0).random(array.shape) - 0.5)


def kind_of(name):
    """"norm1" of "layer.3.norm1"; attention pooling's steps are kinds of their own, "pool.norm"."""
    return name if name.startswith("pool.") else name.split(".")[-1]


def layer_of(name):
    """3 of "layer.3.norm1", or None."""
    return int(name.split(".")[1]) if name.startswith("layer.") else None


class Evidence:
    """A model, pixels x, and the reference's arrays in float64, `theirs`; dtype: the least exact of its steps.

    stored: {"pixels": dtype}, of pixels and patches that were given in float32 or float16, whatever the steps are in.
    given: those of theirs that fit a step in shape and are finite, which the steps after them can be made from.
    """

    def __init__(self, model, x, ours, theirs, dtype, stored):
        self.model, self.x, self.theirs, self.dtype, self.stored = model, x, theirs, dtype, stored
        self.shapes = {name: a.shape for name, a in ours.items()}
        self.given = {name: a for name, a in theirs.items() if not name.startswith(GRADIENT)
                      and name in ours and a.shape == ours[name].shape and np.isfinite(a).all()}
        self.order = [name for name in ours if not name.startswith(GRADIENT)]
        self.reads = reads_of(model.config)
        self.first_input = "norm_pre" if model.config.norm_pre else "embedded"

    def steps(self, variation=PLAIN, found=PLAIN):
        """{name: array} of every step, each made from the reference's own input."""
        return dict(variations.steps(self.model, self.x, found.and_also(variation), given=self.given))

    def step(self, name, variation=PLAIN, instead=None, found=PLAIN):
        """One step, made from the reference's own input. instead: {name: array} of other inputs, "input" a layer's."""
        z, first_layer = self.start(name)
        given = self.given
        if instead:
            prefix = name[:-len(kind_of(name))]
            given = given | {prefix + read: a for read, a in instead.items() if read != "input"}
            if "input" in instead:
                layer = layer_of(name)
                z, first_layer = instead["input"], self.model.config.num_layers if layer is None else layer
        for made, array in variations.steps(self.model, self.x, found.and_also(variation), z, first_layer, given):
            if made == name:
                return array
        raise KeyError(name)

    def start(self, name):
        """(z, layer): the nearest layer before a step whose input the reference has, or None for the pixels."""
        layer = layer_of(name)
        if layer is None:
            if self.order.index(name) < self.order.index("norm"):
                return None, 0
            layer = self.model.config.num_layers
        for i in range(layer, -1, -1):
            entering = f"layer.{i - 1}.output" if i else self.first_input
            if entering in self.given:
                return self.given[entering], i
        return None, 0

    def segment(self, name):
        """The kinds of the steps that lie between what is given and this step: a cause may sit in any of them."""
        names = self.order[:self.order.index(name) + 1]
        kinds = {kind_of(name)}
        wanted = self.inputs(name)
        while wanted:
            read = wanted.pop()
            if read in self.given or read not in names or kind_of(read) == "pixels":
                continue
            if kind_of(read) not in kinds or layer_of(read) is not None:
                wanted += self.inputs(read)
            kinds.add(kind_of(read))
        return kinds

    def inputs(self, name):
        """The names of the steps that a step reads."""
        layer, kind = layer_of(name), kind_of(name)
        entering = f"layer.{(self.model.config.num_layers if layer is None else layer) - 1}.output"
        entering = entering if entering in self.shapes else self.first_input
        return [entering if read == "input" else read if layer is None else f"layer.{layer}.{read}"
                for read in self.reads.get(kind, ())]

    def is_direct(self, name):
        """Whether the reference has all that this step reads."""
        return all(read in self.given for read in self.inputs(name))

    @cached_property
    def rounding(self):
        """{name: what float32 leaves of each step}, measured: made again in float32 from the same input."""
        single = self.model.astype("float32")
        given = {name: a.astype(np.float32) for name, a in self.given.items()}
        exact = self.steps()
        made = variations.steps(single, self.x.astype(np.float32), given=given)
        return {name: relative(array.astype(np.float64), exact[name]) for name, array in made}

    @property
    def coarse(self):
        """Those of the pixels and patches that are given less exactly than the steps."""
        return [name for name, dtype in self.stored.items() if TOLERANCE[dtype] > TOLERANCE[self.dtype]]

    @cached_property
    def blur(self):
        """{name: what the rounding of coarse pixels or patches leaves of each step}, measured.

        The reference may have gone on from the exact ones. A step whose own input it has is not touched.
        """
        moved = {name: blurred(self.given[name], self.stored[name]) for name in self.coarse if name in self.given}
        if not moved:
            return {}
        exact = self.steps()
        made = variations.steps(self.model, self.x, given=self.given | moved)
        return {name: relative(array, exact[name]) for name, array in made}

    def allowed(self, name):
        """What rounding may leave of a step: in the reference's dtype, or of pixels in their own."""
        least = max(TOLERANCE[self.stored.get(name, self.dtype)], PIXELS if name == "pixels" else 0.0,
                    ROOM * self.blur.get(name, 0.0))
        return max(least, ROOM * self.rounding.get(name, 0.0)) if self.dtype == "float32" else least
