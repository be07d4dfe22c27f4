"""Why two sides part: the first step that is wrong in itself, made again under every variation and guess.

Of those under which it is the reference's, the one counts that explains most of the other wrong steps and changes
fewest of the right ones; then the next wrong step that it leaves is looked at.
"""

import numpy as np
from tqdm import tqdm

from . import eps_fit, gradients, guesses, observations, roundings, variations
from .evidence import PLAIN, kind_of, relative
from .places import Place
from .scope import elsewhere, scope_of
from .verdict import GRADIENT

MOST_CAUSES = 5
NORMS = ("norm1", "norm2", "norm", "norm_pre", "pool.norm")


def find(evidence, ours, rows):
    """(the cause in words or None, what is seen where it stays unknown or None)."""
    steps = [row for row in rows if not row.name.startswith(GRADIENT)]
    wrong = [row.name for row in steps if not row.right]
    right = [row.name for row in steps if row.right]
    if not wrong:
        return gradients.cause_of(ours, evidence.theirs, rows), None
    search, causes = _Search(evidence, wrong, right), []
    while search.wrong and len(causes) < MOST_CAUSES:
        first = search.wrong[0]
        cause = search.next_cause()
        if cause is None:
            rounding = roundings.of_rows(evidence, [row for row in steps if row.name in search.wrong], len(steps))
            if rounding:
                return "; ".join([*causes, rounding]), None
            if causes:
                causes.append(f"then {first} differs, and nothing known removes it")
            return "; ".join(causes) or None, observations.of_place(Place(evidence, first))
        causes.append(cause)
    return "; ".join(causes), None


class _Search:
    """The steps still wrong, those that are right, and the variations found so far."""

    def __init__(self, evidence, wrong, right):
        self.evidence, self.wrong, self.right = evidence, list(wrong), list(right)
        self.found, self.eps_is_named = PLAIN, False

    def next_cause(self):
        """The cause of the first wrong step, in words, or None; what it explains is taken from `wrong`."""
        name = self.wrong[0]
        fits = []
        for candidate, explained, changed in self._candidates_that_fit(name):
            fits.append((candidate, explained, changed))
            if len(explained) == len(self.wrong) and not changed and not self._needs_company(candidate):
                break
        if not fits:
            return None
        candidate, explained, changed = max(fits, key=lambda fit: (len(fit[1]), -elsewhere(*fit)))
        cause = candidate.cause
        if isinstance(candidate, variations.Variation):
            alike = [fit[0].eps for fit in fits if getattr(fit[0], "eps", None) and len(fit[1]) == len(explained)]
            if candidate.eps and max(alike) > 1.1 * min(alike):
                cause = cause.replace(variations.eps_variation(self.evidence.model, candidate.eps).cause,
                                      eps_fit.unnamed(self.evidence.model, candidate.eps).cause)
            self.eps_is_named = self.eps_is_named or candidate.eps is not None
            if not changed:
                self.found = self.found.and_also(candidate)
        self.wrong = [name for name in self.wrong if name not in explained]
        return cause + scope_of(explained, changed)

    def _needs_company(self, candidate):
        """Whether others of its kind must be tried as well, since rounding may let several fit."""
        return getattr(candidate, "eps", None) and self.evidence.dtype != "float64"

    def _candidates_that_fit(self, name):
        place = Place(self.evidence, name)
        before = relative(self.evidence.step(name, found=self.found), place.theirs)
        for guess in guesses.of_missing_layers(place):
            if self._is_near(name, _made(guess, place), before):
                yield guess, [name], []
        for variation in tqdm(list(self._variations(name)), desc=f"causes of {name}", delay=1, leave=False):
            try:
                array = self.evidence.step(name, variation, found=self.found)
                if not self._is_near(name, array, before, variation.tolerance):
                    continue
                made = self.evidence.steps(variation, self.found)
            except (ValueError, KeyError, FloatingPointError):
                continue                    # shapes that this variation makes impossible
            explained, changed = self._effect(made.get, variation.tolerance)
            if variation.eps and any(kind_of(other) == kind_of(name) for other in self.wrong if other not in explained):
                continue                    # an eps that holds in one layer alone is some other thing there
            yield variation, explained, changed
        if not self.evidence.is_direct(name):
            return
        for guess in guesses.of_place(place):
            if self._is_near(name, _made(guess, place), before):
                yield guess, *self._effect(lambda other, guess=guess: _made(guess, Place(self.evidence, other))
                                           if kind_of(other) in guess.where else None)

    def _variations(self, name):
        """Those that can show in this step, given what the reference has before it."""
        segment = self.evidence.segment(name)
        direct = kind_of(name) in NORMS and self.evidence.is_direct(name)
        if direct and not self.eps_is_named:
            norms = [other for other in (*self.wrong, *self.right) if kind_of(other) in NORMS]
            for names in (norms, [name]):
                if (fitted := eps_fit.of_norms(self.evidence, names)) is not None:
                    yield fitted
        for variation in variations.known(self.evidence.model):
            if segment & set(variation.where) and not (variation.eps and (direct or self.eps_is_named)):
                yield variation

    def _is_near(self, name, array, before, tolerance=0.0):
        if array is None:
            return False
        after = relative(array, self.evidence.theirs[name])
        return after <= max(self.evidence.allowed(name), tolerance) and (after <= before / 3 or np.isinf(before))

    def _effect(self, made, tolerance=0.0):
        """(the wrong steps that are the reference's under it, the right ones that are no longer)."""
        def near(name):
            array = made(name)
            return array is not None and relative(array, self.evidence.theirs[name]) <= \
                max(self.evidence.allowed(name), tolerance)
        return [name for name in self.wrong if near(name)], \
            [name for name in self.right if made(name) is not None and not near(name)]


def _made(guess, place):
    with np.errstate(all="ignore"):
        try:
            return guess.at(place)
        except (ValueError, KeyError, IndexError, TypeError):
            return None                     # another place may lack what the guess reads
