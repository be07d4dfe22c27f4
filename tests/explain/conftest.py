"""What several tests of maps look at."""

import numpy as np
import pytest

import minivit


@pytest.fixture(scope="module")
def small():
    """A small model in float64, two images, a class each."""
    config = minivit.ViTConfig(patch_size=4, width=16, num_layers=2, mlp_width=24, num_heads=2, num_classes=5,
                               image_size=(8, 12))
    model = minivit.init(config, seed=3, dtype="float64")
    return model, np.random.default_rng(4).standard_normal((2, 8, 12, 3)), np.array([1, 4])
