"""A Guess: what a step may be, as a function of the place where it stands."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Guess:
    """cause: in words. where: the kinds of steps it may show in. at: place -> the step's array under it, or None."""

    cause: str
    where: tuple
    at: Callable
