"""Guesses at one step's cause, from its own input and output alone: no list of known mistakes, but forms that fit.

A guess is drawn from the first step that differs and then tried on every other one: what explains most is the cause.
"""

from . import inputs, multiples, other_weights, outputs, sums
from .guess import Guess
from .inputs import of_missing_layers

__all__ = ["Guess", "of_missing_layers", "of_place"]


def of_place(place):
    """Every Guess at a step, the simplest first."""
    yield from multiples.of_place(place)
    yield from outputs.of_place(place)
    yield from sums.of_place(place)
    yield from inputs.of_place(place)
    yield from other_weights.of_place(place)
