"""A step that differs, with all that it could have been made from: what the guesses at its cause look at."""

from dataclasses import dataclass
from functools import cached_property

from ..head import norm_name
from .evidence import Evidence, kind_of, layer_of, relative

SECTION = {"norm1": ("norm1",), "norm2": ("norm2",), "query": ("attn", "qkv"), "key": ("attn", "qkv"),
           "value": ("attn", "qkv"), "attended": ("attn", "proj"), "hidden": ("mlp", "fc1"), "mlp": ("mlp", "fc2")}
WORDS = {"input": "the layer's input", "embedded": "the embedded tokens", "norm1": "norm1's output",
         "attended": "attention's output", "residual1": "the first residual sum", "norm2": "norm2's output",
         "mlp": "the MLP's output", "scores": "the scores", "attention": "the attention weights",
         "query": "the queries", "key": "the keys", "value": "the values", "tokens": "the tokens without positions",
         "patch_embedding": "the patches' embedding", "norm": "the final norm's output",
         "norm_pre": "the first norm's output", "attended_scaled": "attention's output under LayerScale",
         "mlp_scaled": "the MLP's output under LayerScale", "pool.query": "the pooling's query",
         "pool.key": "the pooling's keys", "pool.value": "the pooling's values",
         "pool.attended": "what the pooling attends to", "pool.norm": "the pooling's normed output",
         "pool.mlp": "the pooling's MLP", "logits_cls": "the first head's logits",
         "logits_dist": "the second head's logits"}
POOLING = {"pool.query": ("q",), "pool.key": ("kv",), "pool.value": ("kv",), "pool.attended": ("proj",),
           "pool.norm": ("norm",), "pool.hidden": ("mlp", "fc1"), "pool.mlp": ("mlp", "fc2")}


@dataclass(frozen=True)
class Place:
    """One step of the reference. name: the step. ours: what minivit makes of the reference's own input for it."""

    evidence: Evidence
    name: str

    @property
    def kind(self):
        """The step without its layer: "norm1"."""
        return kind_of(self.name)

    @property
    def layer(self):
        """The number of its layer, or None."""
        return layer_of(self.name)

    @property
    def model(self):
        """minivit's side."""
        return self.evidence.model

    @property
    def theirs(self):
        """The reference's array."""
        return self.evidence.theirs[self.name]

    @cached_property
    def ours(self):
        """The step made from the reference's own input."""
        return self.evidence.step(self.name)

    def again(self, **instead):
        """The step made from other inputs: {read: array}."""
        return self.evidence.step(self.name, instead=instead)

    def under(self, change):
        """The step made by a changed model: change(model)."""
        from .variations import Variation
        return self.evidence.step(self.name, Variation(model=change))

    def read(self, kind):
        """The reference's array of what this step reads, "norm1", or "input" for what enters its layer; else None."""
        names = dict(zip(self.reads, self.evidence.inputs(self.name)))
        return self.evidence.given.get(names.get(kind))

    @property
    def reads(self):
        """The kinds that it reads."""
        return self.evidence.reads.get(self.kind, ())

    @cached_property
    def before(self):
        """{words: array} of every step that came before this one, those of its layer first, then the layers' ends."""
        order, given = self.evidence.order, self.evidence.given
        earlier = [name for name in order[:order.index(self.name)] if name in given]
        own = [name for name in earlier if layer_of(name) == self.layer and self.layer is not None]
        entering = self.evidence.inputs(f"layer.{self.layer}.norm1")[0] if self.layer is not None else None
        found = {WORDS["input"]: given[entering]} if entering in given else {}
        found |= {WORDS.get(kind_of(name), name): given[name] for name in own}
        first = self.evidence.first_input
        if first in earlier:
            found[WORDS[first]] = given[first]                  # in layer 0 the input, in the others what went in first
        for name in earlier:
            if name not in own and name not in (entering, first):
                short = kind_of(name)
                found[f"layer {layer_of(name)}'s {short}" if layer_of(name) is not None else WORDS.get(short, name)] = \
                    given[name]
        return found

    def fits(self, array, room=1.0):
        """Whether an array is the reference's step, to rounding."""
        return array is not None and relative(array, self.theirs) <= room * self.evidence.allowed(self.name)

    @property
    def params(self):
        """The weight and bias that this step has, or None."""
        model = self.model
        if self.layer is not None and self.kind in SECTION:
            params = model.params["blocks"][self.layer]
            for part in SECTION[self.kind]:
                params = params[part]
            return params
        if self.kind == "patch_embedding":
            return model.params["patch_embed"]["proj"]
        if self.kind in POOLING:
            params = model.params["attn_pool"]
            for part in POOLING[self.kind]:
                params = params[part]
            return params
        if self.kind == "logits" and model.config.pool == "distilled":
            return None                                         # the mean of two heads
        name = {"norm": norm_name(model.config.pool), "norm_pre": "norm_pre", "logits": "head", "logits_cls": "head",
                "logits_dist": "head_dist"}.get(self.kind)
        return model.params.get(name)
