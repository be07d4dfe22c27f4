"""RandAugment's operations against torchvision's, and what is drawn."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minivit.training import rand_augment as module
from minivit.training.rand_augment import OPERATIONS, rand_augment

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "rand_augment.npz")


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_torchvisions(name):
    """torchvision goes through angles for a shear; what that rounds can turn a level of a blended pixel."""
    levels = 1 if name.startswith("shear") else 0
    for m, expected in zip(REFERENCE["magnitudes"], REFERENCE[name]):
        found = np.asarray(OPERATIONS[name](Image.fromarray(REFERENCE["picture"]), float(m)))
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= levels and (difference > 0).mean() <= 0.2, m


def test_the_references_differ_from_the_picture():
    for name in set(OPERATIONS) - {"identity"}:
        assert (REFERENCE[name][-2:] != REFERENCE["picture"]).any(axis=(1, 2, 3)).all(), name


def test_paper_has_fourteen():
    assert len(OPERATIONS) == 14


def images(rng, count=60):
    return rng.integers(0, 256, (count, 8, 12, 3), np.uint8)


def test_each_image_goes_through_its_own_operations(rng):
    """Every operation on every image must be found again among the results, at both signs."""
    one = np.repeat(images(rng, 1), 400, axis=0)
    found = rand_augment(one, np.random.default_rng(1), 1, 0.7)
    possible = {}
    for name, operation in OPERATIONS.items():
        for m in (-0.7, 0.7):
            possible.setdefault(np.asarray(operation(Image.fromarray(one[0]), m)).tobytes(), (name, m))
    seen = {possible[image.tobytes()] for image in found}
    assert seen == set(possible.values()) and len({name for name, _ in seen}) >= 13
    assert len(seen) >= 13 + 8                                             # those with a sign are seen with both


def test_operations_follow_one_another(rng, monkeypatch):
    monkeypatch.setattr(module, "_FUNCTIONS", 14 * [lambda p, m: Image.fromarray(np.asarray(p) + np.uint8(1))])
    one = np.zeros((3, 8, 12, 3), np.uint8)
    for count in (0, 1, 3):
        assert (rand_augment(one, rng, count, 0.5) == count).all()


def test_each_operation_is_as_likely_and_so_is_each_sign(monkeypatch):
    """The level of a picture tells the operation and the sign."""
    def marked(place):
        return lambda picture, m: Image.fromarray(np.full((8, 12, 3), 2 * place + (m > 0), np.uint8))

    monkeypatch.setattr(module, "_FUNCTIONS", [marked(place) for place in range(14)])
    count = 28 * 400
    found = rand_augment(np.zeros((count, 8, 12, 3), np.uint8), np.random.default_rng(2), 1, 0.5)[:, 0, 0, 0]
    often = np.bincount(found, minlength=28)
    assert len(often) == 28 and np.abs(often - 400).max() <= 4.5 * 400 ** 0.5


def test_what_is_given_stays_and_the_draw_decides(rng):
    given = images(rng)
    before = given.copy()
    found = rand_augment(given, np.random.default_rng(0), 2, 0.5)
    np.testing.assert_array_equal(given, before)
    assert found.shape == given.shape and found.dtype == np.uint8
    np.testing.assert_array_equal(rand_augment(given, np.random.default_rng(0), 2, 0.5), found)
    assert (rand_augment(given, np.random.default_rng(1), 2, 0.5) != found).any()


def test_a_magnitude_of_zero_leaves_most_as_it_is(rng):
    """All but those without a magnitude: autocontrast and equalise."""
    picture = images(rng, 1)[0]
    for name in set(OPERATIONS) - {"autocontrast", "equalise", "solarise"}:
        np.testing.assert_array_equal(np.asarray(OPERATIONS[name](Image.fromarray(picture), 0.0)), picture, name)
    solarised = np.asarray(OPERATIONS["solarise"](Image.fromarray(picture), 0.0)).astype(int)
    assert (solarised == np.where(picture == 255, 0, picture)).all()
