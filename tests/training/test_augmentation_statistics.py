"""What augmentation draws, counted over many seeds and compared with the distributions of the papers."""

from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL

from minivit.training import augmentation, patch_dropout

SIGMAS = 4.5                                             # one in 150,000 fair draws is further away


def mixed(seed, mixup, cutmix, side=40):
    """(pixels, target): how much image 0 of a pair is changed, (side, side), and its own share of its target.

    Image b has the value b everywhere, so that its pixels tell what came from the other one.
    """
    x = np.broadcast_to(np.float32([0, 1])[:, None, None, None], (2, side, side, 3)).copy()
    for rng in (np.random.default_rng([seed, i]) for i in range(100)):
        mixed, aim = augmentation.Mixing.draw(rng, x.shape[:3], mixup, cutmix).mix(x, np.eye(2, dtype=np.float32))
        if mixed[0].any():                               # the other image of the pair, not itself
            return mixed[0, :, :, 0], float(aim[0, 0])
    raise AssertionError("each image is always paired with itself")


def near(values, mean, variance=None):
    """Raises AssertionError unless the values' mean, and variance, are what they should be."""
    values, n = np.asarray(values, float), len(values)
    assert abs(values.mean() - mean) <= SIGMAS * values.std() / n ** 0.5
    if variance is not None:
        squares = (values - mean) ** 2
        assert abs(squares.mean() - variance) <= SIGMAS * squares.std() / n ** 0.5


@pytest.mark.parametrize("alpha", [0.2, 0.8, 3.0])
def test_mixups_share_is_beta_distributed(alpha):
    """Beta(α, α) has the mean 1/2, the variance 1 / (4 (2α + 1)) and the fourth moment 3 / (16 (2α + 1) (2α + 3))."""
    x, aim = zip(*(mixed(seed, alpha, 0, side=2) for seed in range(3000)))
    np.testing.assert_allclose([1 - one.mean() for one in x], aim, atol=1e-6)
    near(aim, 0.5, 1 / (4 * (2 * alpha + 1)))
    near((np.array(aim) - 0.5) ** 4, 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3)))


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_cutmixs_rectangles_are_the_papers(alpha):
    """Yun et al. 2019, section 3: sides √(1 - λ) of the image's, λ ~ Beta(α, α), the centre anywhere, cut off outside.

    The share left of the image is compared with a simulation of that, in numbers that are not rounded to pixels.
    """
    side, rng = 40, np.random.default_rng(0)
    half = np.sqrt(1 - rng.beta(alpha, alpha, 200_000)) / 2
    centre = rng.random((2, len(half)))
    height, width = np.minimum(centre + half, 1) - np.maximum(centre - half, 0)
    wanted = 1 - height * width
    found = []
    for seed in range(2500):
        image, share = mixed(seed, 0, alpha, side)
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        inside = image[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        assert (inside == 1).all() and abs(share - (1 - inside.size / side ** 2)) < 1e-6
        found.append(share)
    pasted = wanted[wanted < 1 - 1 / side ** 2]          # `mixed` draws again where nothing is pasted
    for power in (1, 2, 4):
        spread = np.std(np.array(found) ** power) / len(found) ** 0.5
        assert abs(np.mean(np.array(found) ** power) - (pasted ** power).mean()) <= SIGMAS * spread + 0.005


def test_with_both_on_each_is_taken_half_of_the_time():
    """A blend has one value, between both images'; a paste over all of the image has the other's, 1."""
    values = [np.unique(mixed(seed, 1.0, 1.0, side=8)[0]).tolist() for seed in range(2000)]
    near([len(one) == 1 and one != [1.0] for one in values], 0.5)


def test_each_of_both_keeps_its_own_distribution():
    """mixup with α = 50 stays near one half; cutmix with α = 0.05 is near all or nothing."""
    near_half = [abs(share - 0.5) < 0.25 for image, share in (mixed(s, 50.0, 0.05, side=8) for s in range(300))
                 if len(np.unique(image)) == 1 and 0 < image[0, 0] < 1]
    assert len(near_half) > 80 and all(near_half)


def test_erased_rectangles_are_the_papers():
    """Zhong et al. 2017, algorithm 1: the area in 0.02 to 1/3, the aspect, here log-uniform, in 0.3 to 1/0.3."""
    side, count = 60, 1200
    images = np.full((count, side, side, 3), 7, np.uint8)
    found = augmentation.erase(images, np.random.default_rng(1), 1.0)
    area, aspect, centres = [], [], []
    for image in (found != 7).any(axis=-1):
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        h, w = np.ptp(rows) + 1, np.ptp(columns) + 1
        area.append(h * w / side ** 2)
        aspect.append(np.log(h / w))
        centres.append([(rows[0]) / max(1, side - h), columns[0] / max(1, side - w)])
    near(area, (0.02 + 1 / 3) / 2, (1 / 3 - 0.02) ** 2 / 12)
    near(aspect, 0.0)
    assert np.std(aspect) == pytest.approx(np.log(1 / 0.3) / 3 ** 0.5, rel=0.05)
    assert 0.02 * 0.8 <= min(area) and max(area) <= 1.03 / 3
    assert abs(np.exp(max(aspect)) - 1 / 0.3) < 0.6 and abs(np.exp(-min(aspect)) - 1 / 0.3) < 0.6
    near(np.array(centres)[:, 0], 0.5, 1 / 12 + 1 / (6 * side))
    near(np.array(centres)[:, 1], 0.5, 1 / 12 + 1 / (6 * side))
    noise = found[(found != 7).any(axis=-1)].astype(float)
    assert abs(noise.mean() - 127.5) < 0.2 and abs(noise.std() - (256 ** 2 / 12) ** 0.5) < 0.2


def test_erasing_takes_each_image_with_the_probability_given():
    images = np.full((4000, 8, 8, 3), 7, np.uint8)
    for share in (0.25, 0.9):
        near((augmentation.erase(images, np.random.default_rng(2), share) != 7).any(axis=(1, 2, 3)), share)


def test_shift_and_mirror_are_uniform():
    """Each row and each column counts the offset in the value of its pixels."""
    rows, columns = np.mgrid[1:10, 1:10]
    image = np.stack([columns, rows, rows], axis=-1).astype(np.uint8)
    found = augmentation.crop_and_flip(np.repeat(image[None], 6000, axis=0), np.random.default_rng(3), 2)
    middle = found[:, 4, 4].astype(int) - 5                                                 # column, row offset
    near(middle[:, 1], 0.0, 2.0)                                                            # uniform on -2 … 2
    near(middle[:, 0], 0.0, 2.0)
    mirrored = found[:, 4, 3, 0] > found[:, 4, 5, 0]
    near(mirrored, 0.5)
    assert abs(np.corrcoef(middle[:, 0], middle[:, 1])[0, 1]) <= SIGMAS / 6000 ** 0.5
    assert abs(np.corrcoef(middle[:, 1], mirrored)[0, 1]) <= SIGMAS / 6000 ** 0.5


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_a_class_token_is_kept_whatever_is_pooled(rng, pool):
    """Whether there is one decides, not what is read out."""
    kept = patch_dropout.draw(rng, 50, replace(SMALL, pool=pool, class_token=True), 0.5)
    assert (kept[:, 0] == 0).all() and kept.shape == (50, 11) and kept.max() == 20
