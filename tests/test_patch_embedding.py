import numpy as np
import pytest
from section_contract import SectionContract, linear_params

from minivit import patch_embedding
from minivit.patch_embedding import patchify, unpatchify


class TestPatchEmbedding(SectionContract):
    section = patch_embedding
    options = {"patch_size": 2}

    def case(self, rng):
        return rng.standard_normal((3, 4, 6, 3)), {"proj": linear_params(rng, 12, 5)}


def test_patches_are_slices_in_raster_order(rng):
    x = rng.standard_normal((2, 6, 12, 3))
    patches = patchify(x, 3)
    assert patches.shape == (2, 8, 27)
    for b in range(2):
        for row in range(2):
            for column in range(4):
                for i in range(3):
                    for j in range(3):
                        pixel = x[b, 3 * row + i, 3 * column + j]
                        start = 3 * (3 * i + j)
                        assert np.array_equal(patches[b, 4 * row + column, start:start + 3], pixel)


@pytest.mark.parametrize("height, width, P", [(6, 12, 3), (8, 4, 4), (4, 4, 1), (5, 5, 5)])
def test_unpatchify_is_the_exact_inverse(height, width, P, rng):
    x = rng.standard_normal((2, height, width, 3))
    patches = patchify(x, P)
    assert np.array_equal(unpatchify(patches, P, (height // P, width // P)), x)
    assert np.array_equal(patchify(unpatchify(patches, P, (height // P, width // P)), P), patches)


def test_equals_a_convolution_with_stride_P(rng):
    x, params = rng.standard_normal((2, 4, 6, 3)), {"proj": linear_params(rng, 12, 5)}
    y, _ = patch_embedding.forward(x, params, 2)
    kernel = params["proj"]["weight"].reshape(2, 2, 3, 5)               # (P, P, C, D)
    for b, row, column, k in np.ndindex(2, 2, 3, 5):
        window = x[b, 2 * row:2 * row + 2, 2 * column:2 * column + 2]
        expected = (window * kernel[..., k]).sum() + params["proj"]["bias"][k]
        assert y[b, 3 * row + column, k] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("height, width", [(7, 8), (8, 7), (2, 8)])
def test_a_size_that_the_patch_does_not_divide_is_an_error(height, width, rng):
    x, params = rng.standard_normal((1, height, width, 3)), {"proj": linear_params(rng, 48, 5)}
    with pytest.raises(ValueError, match=f"{height} x {width} pixels cannot be cut into patches of 4 x 4"):
        patch_embedding.forward(x, params, 4)
