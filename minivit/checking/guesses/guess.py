"""A Guess: what a step may be, as a function of the place where it stands."""

from collections.abc import Callable
from dataclasses import dataclass

QKV = ("query", "key", "value")


@dataclass(frozen=True)
class Guess:
    """cause: in words. where: the kinds of steps it may show in. at: place -> the step's array under it, or None."""

    cause: str
    where: tuple
    at: Callable


def alike(kind):
    """The kinds of steps that one line of a port makes together with this one: q, k and v, or the kind alone."""
    return QKV if kind in QKV else (kind,)


def named(kinds):
    """"query, key and value", or the one kind."""
    return " and ".join([", ".join(kinds[:-1]), kinds[-1]]) if len(kinds) > 1 else kinds[0]
