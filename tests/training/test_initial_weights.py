"""Random weights have the distributions that the paper's code draws them from, and the seed alone decides them."""

import math
from dataclasses import replace

import numpy as np
import pytest

import minivit
from minivit.trees import flatten

CONFIG = minivit.ViTConfig(patch_size=8, width=96, num_layers=2, mlp_width=256, num_heads=4, num_classes=50,
                           image_size=64)
D, M, PIXELS = 96, 256, 8 * 8 * 3
# (in, out) of the map that a weight belongs to; q, k and v are three maps of D to D.
SIDES = {"patch_embed.proj": (PIXELS, D), "attn.qkv": (D, D), "attn.proj": (D, D), "mlp.fc1": (D, M), "mlp.fc2": (M, D)}


@pytest.fixture(scope="module")
def weights():
    return flatten(minivit.init(CONFIG, seed=3).params)


@pytest.mark.parametrize("part", SIDES)
def test_linear_maps_are_glorot_uniform(weights, part):
    """±√(6 / (in + out)): the ends are reached, the mean is 0 and the variance 2 / (in + out)."""
    found = [a.ravel() for name, a in weights.items() if name.endswith(f"{part}.weight")]
    assert len(found) == (1 if part == "patch_embed.proj" else 2)
    for w in found:
        end = math.sqrt(6 / sum(SIDES[part]))
        assert 0.998 * end < -w.min() <= end and 0.998 * end < w.max() <= end
        assert abs(w.mean()) <= 4.5 * end / math.sqrt(3 * w.size)
        # The fourth moment of a uniform variable is end⁴ / 5.
        assert abs((w ** 2).mean() - end ** 2 / 3) <= 4.5 * end ** 2 * math.sqrt((1 / 5 - 1 / 9) / w.size)


@pytest.mark.parametrize("name", ["cls_token", "pos_embed", "head.weight"])
def test_tokens_positions_and_head_are_normal(weights, name):
    """Mean 0, standard deviation 0.02, and as many beyond one deviation as a normal variable has, 31.7 %."""
    w = weights[name].ravel()
    assert abs(w.mean()) <= 4.5 * 0.02 / math.sqrt(w.size)
    assert abs(w.std() - 0.02) <= 4.5 * 0.02 / math.sqrt(2 * w.size)
    assert abs((np.abs(w) > 0.02).mean() - 0.3173) <= 4.5 * 0.466 / math.sqrt(w.size)


def test_biases_are_zero_and_norms_do_nothing(weights):
    for name, a in weights.items():
        if name.endswith("bias"):
            assert not a.any(), name
        if "norm" in name and name.endswith("weight"):
            assert (a == 1).all(), name


def test_the_seed_decides():
    one, same, other = (flatten(minivit.init(CONFIG, seed=seed).params) for seed in (3, 3, 4))
    double = flatten(minivit.init(CONFIG, seed=3, dtype="float64").params)
    for name, a in one.items():
        np.testing.assert_array_equal(a, same[name])
        np.testing.assert_array_equal(a, double[name])
        assert a.dtype == np.float32 and double[name].dtype == np.float64
        assert not a.std() or (a != other[name]).mean() > 0.99, name
    blocks = [name for name in one if name.startswith("blocks.0.") and one[name].std()]
    assert all((one[name] != one[name.replace("blocks.0", "blocks.1")]).mean() > 0.99 for name in blocks)


def test_a_model_has_what_its_config_asks_for():
    plain = flatten(minivit.init(replace(CONFIG, pool="mean", class_token=False, position="sincos2d", num_classes=0),
                                 seed=0).params)
    assert not {"cls_token", "pos_embed", "head.weight", "norm.weight"} & set(plain) and "fc_norm.weight" in plain


@pytest.mark.parametrize("class_token", [True, False])
def test_every_token_has_a_position_and_every_number_is_counted(class_token):
    config = replace(CONFIG, pool="mean", class_token=class_token)
    params = flatten(minivit.init(config, seed=0).params)
    assert params["pos_embed"].shape == (1, 64 + class_token, D) and ("cls_token" in params) == class_token
    assert config.num_tokens == 64 + class_token
    assert minivit.parameter_count(config) == sum(a.size for a in params.values())


def test_the_relatives_begin_as_their_papers_say():
    """LayerScale at 1e-5 (DINOv2), so that each layer is nearly the identity; the fixed table is sines and cosines."""
    config = minivit.ViTConfig(patch_size=4, width=8, num_layers=2, mlp_width=12, num_heads=2, num_classes=3,
                               image_size=8, layer_scale=True, position="fixed", dist_token=True, pool="distilled",
                               registers=2)
    params = minivit.init(config, seed=3, dtype="float64").params
    assert all((block[name]["gamma"] == np.float32(1e-5)).all() for block in params["blocks"]
               for name in ("ls1", "ls2"))
    assert (params["pos_embed"][:, :2] == 0).all()
    x, y = 1, 0                                                         # patch 1 is at column 1 of row 0
    angles = np.array([1.0, 0.01])                                      # 10000^(-k / 2)
    expected = np.concatenate([np.sin(x * angles), np.cos(x * angles), np.sin(y * angles), np.cos(y * angles)])
    np.testing.assert_allclose(params["pos_embed"][0, 3], expected, atol=1e-7)
    assert not np.array_equal(params["head"]["weight"], params["head_dist"]["weight"])
    assert params["reg_token"].shape == (1, 2, 8) and 0 < np.abs(params["reg_token"]).max() < 0.1
