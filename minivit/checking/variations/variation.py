"""A Variation: one thing that a port does otherwise, as a model and choices that `tracing.steps` can compute with."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ... import tracing
from ...tracing_choices import Choices


def same(x):
    """x itself: what a variation does to what it leaves alone."""
    return x


@dataclass(frozen=True)
class Variation:
    """One choice other than minivit's. cause: in words, what the other side does. where: the steps it shows in first.

    model: the model changed in config or params. input: other pixels. choices: {name of a Choices: function}.
    tolerance: how far off it may be and still count, where libraries compute it in float32. apart: whether it may hold
    in one of these steps and not in another, as a sum may be wrong once. eps: LayerNorm's, where that is what differs.
    """

    cause: str = ""
    where: tuple = ()
    model: Callable = same
    input: Callable = same
    choices: dict = field(default_factory=dict)
    tolerance: float = 0.0
    apart: bool = False
    eps: float | None = None

    def and_also(self, other):
        """Both at once; where both make one choice, the other's counts."""
        return replace(self, cause=f"{self.cause}; {other.cause}" if self.cause else other.cause,
                       model=lambda m: other.model(self.model(m)), input=lambda x: other.input(self.input(x)),
                       choices=self.choices | other.choices,
                       tolerance=max(self.tolerance, other.tolerance))


def steps(model, x, variation=Variation(), z=None, first_layer=0, given=None):
    """`tracing.steps` of a model under a variation."""
    x = x if z is not None else variation.input(x)
    yield from tracing.steps(variation.model(model), x, Choices(**variation.choices), z, first_layer, given)
