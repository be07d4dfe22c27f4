"""Where no cause is known, what a step's numbers show is told."""

import numpy as np
import pytest
from peaked import images, peaked_model

import minivit
from minivit.tracing import trace

MODEL, X = peaked_model(), images(B=2)
STEPS = trace(MODEL, X)


def changed(name, change):
    steps = {"pixels": X, name: change(STEPS[name].copy())}
    return minivit.compare(MODEL, steps)


def at_a_token(a):
    a[:, 3] += 1
    return a


def in_a_head(a):
    a[:, 1] *= -1
    return a


def shuffled(a):
    return np.random.default_rng(0).permuted(a, axis=None).reshape(a.shape)


SHOWN = {
    "a scale": ("layer.1.output", lambda a: 1.01 * a, "it is 1.01 times minivit's"),
    "an offset": ("layer.0.mlp", lambda a: a + np.linspace(-1, 2, 24),
                  "plus one vector that is the same for all tokens"),
    "a constant": ("layer.0.attended", lambda a: np.full_like(a, 0.25), "it is 0.25 everywhere"),
    "an order": ("layer.2.mlp", shuffled, "the same numbers as minivit's in another order"),
    "a token": ("layer.0.norm2", at_a_token, "differs at token 3 alone, of 21"),
    "a head": ("layer.0.value", in_a_head, "differs at head 1 alone, of 3"),
    "a function": ("layer.0.hidden", lambda a: np.sin(2 * a) + a ** 2,
                   "each number follows from minivit's number alone"),
    "each token": ("layer.1.norm1", lambda a: a * np.linspace(1, 3, 21)[:, None] + np.linspace(0, 1, 21)[:, None],
                   "each token is minivit's times a number plus a number"),
    "each feature": ("layer.1.norm1", lambda a: a * np.linspace(1, 3, 24) + np.linspace(2, 1, 24) ** 2,
                     "each feature is minivit's times a number plus a number"),
    "NaN": ("logits", lambda a: np.full_like(a, np.nan), "14 of 14 numbers are not finite"),
    "another shape": ("layer.0.scores", lambda a: a.reshape(2, 3, 441), "an axis is moved or two are joined"),
    "nothing": ("layer.0.mlp", lambda a: np.random.default_rng(0).standard_normal(a.shape), "unlike minivit's"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_a_step_shows(name):
    step, change, words = SHOWN[name]
    comparison = changed(step, change)
    assert comparison.first_difference == step and comparison.cause is None
    assert comparison.shows.startswith(f"what {step} shows: ") and words in comparison.shows
    assert "none that is known" in repr(comparison) and words in repr(comparison)


def test_what_the_reference_lacks_is_asked_for():
    comparison = changed("layer.1.output", lambda a: 1.01 * a)
    assert "give layer.1.residual1, layer.1.mlp as well, which the reference lacks" in comparison.shows
    steps = {**STEPS, "layer.1.mlp": shuffled(STEPS["layer.1.mlp"])}
    comparison = minivit.compare(MODEL, steps)
    assert comparison.first_difference == "layer.1.mlp" and "it reads layer.1.hidden, which the reference has" in \
        comparison.shows and "add the bias" in comparison.shows


def test_what_only_follows_is_told_from_what_is_wrong():
    """One wrong step: the steps after it, right in themselves, follow."""
    from plain_port import run
    from port_mistakes import SCALE
    comparison = minivit.compare(MODEL, run(MODEL, X, [(SCALE, "s = (s / math.sqrt(d)) if i != 1 else (s)")]))
    rows = {row.name: row for row in comparison.rows}
    assert comparison.cause == "the scale of the scores is missing (in layer 1 alone)"
    assert not rows["layer.1.scores"].right and rows["layer.1.attention"].right and rows["logits"].right
    assert rows["logits"].relative > 1e-3 and not rows["logits"].agrees
    assert "follows" in repr(comparison) and "only by what they were given" in repr(comparison)
