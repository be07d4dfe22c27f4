"""Scores, some of which a mask has set to −∞ or to a number far below all others."""

import numpy as np

from .guess import Guess

FAR = -1e3


def of_scores(place):
    """The mask that theirs shows, named where it is a usual one."""
    hidden = _hidden(place)
    if not hidden.any() or hidden.all():
        return
    T = hidden.shape[-1]
    usual = {"a causal mask: a token looks at itself and at those before it alone": ~np.tri(T, dtype=bool),
             "a mask: a token looks at itself and at those after it alone": ~np.tri(T, dtype=bool).T,
             "a mask: no token looks at itself": np.eye(T, dtype=bool),
             "a mask: no token looks at [CLS]": np.broadcast_to(np.arange(T) == 0, (T, T))}
    words = next((words for words, mask in usual.items() if (hidden == mask).all()),
                 f"a mask that hides {hidden.mean():.0%} of the scores")
    yield Guess(words, ("scores",), lambda p: np.where(_hidden(p), p.theirs, p.ours) if _hidden(p).any() else p.ours)


def _hidden(place):
    """Where theirs is far below all that q and k could give."""
    return place.theirs < FAR * max(1.0, float(np.abs(place.ours).max()))
