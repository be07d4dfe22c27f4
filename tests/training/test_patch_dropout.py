from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL
from section_contract import SectionContract

from minivit.training import patch_dropout

B, T, D = 3, 7, 5
KEPT = np.array([[0, 1, 4], [0, 2, 3], [0, 5, 6]])


class TestPatchDropout(SectionContract):
    section = patch_dropout
    options = {"kept": KEPT}

    def case(self, rng):
        return rng.standard_normal((B, T, D)), None

    def forward(self, x, params):
        return patch_dropout.forward(x, KEPT if len(x) == B else KEPT[1:2])


def test_what_is_kept_and_where_its_gradient_goes(rng):
    x, dy = rng.standard_normal((B, T, D)), rng.standard_normal((B, 3, D))
    y, cache = patch_dropout.forward(x, KEPT)
    dx = patch_dropout.backward(dy, cache)
    expected = np.zeros_like(x)
    for b in range(B):
        for place, token in enumerate(KEPT[b]):
            np.testing.assert_array_equal(y[b, place], x[b, token])
            expected[b, token] = dy[b, place]
    np.testing.assert_array_equal(dx, expected)


def test_without_dropout_nothing_happens(rng):
    x = rng.standard_normal((B, T, D))
    y, cache = patch_dropout.forward(x, None)
    assert y is x and patch_dropout.backward(x, cache) is x
    state = rng.bit_generator.state
    assert patch_dropout.draw(rng, B, SMALL, 0) is None and rng.bit_generator.state == state


@pytest.mark.parametrize("share, count", [(0.5, 10), (0.26, 15), (0.95, 1), (0.999, 1), (0.001, 20)])
def test_cls_stays_and_every_patch_is_as_likely(rng, share, count):
    """SMALL has 20 patches."""
    images = 2000
    kept = patch_dropout.draw(rng, images, SMALL, share)
    assert kept.shape == (images, 1 + count) and (kept[:, 0] == 0).all()
    assert (np.diff(kept, axis=1) > 0).all() and kept.max() <= 20
    often = np.bincount(kept[:, 1:].ravel(), minlength=21)[1:]
    spread = (images * count / 20 * (1 - count / 20)) ** 0.5
    assert np.abs(often - images * count / 20).max() <= 4.5 * spread
    without_cls = patch_dropout.draw(rng, images, replace(SMALL, class_token=False, pool="mean"), share)
    assert without_cls.shape == (images, count) and without_cls.min() == 0 and without_cls.max() == 19
