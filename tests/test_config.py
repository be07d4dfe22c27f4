"""Counts against the published figures: parameters as timm and the papers count them, MACs as timm prints them."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

import minivit
from minivit.trees import flatten
from minivit.variants import as_config, variant_name

#   variant    P     D   L     M   H    T     parameters    GMACs
TABLE = [
    ("Ti/16", 16,  192, 12,  768,  3, 197,     5_717_416,   1.254),
    ("S/32",  32,  384, 12, 1536,  6,  50,    22_878_952,   1.143),
    ("S/16",  16,  384, 12, 1536,  6, 197,    22_050_664,   4.599),
    ("B/32",  32,  768, 12, 3072, 12,  50,    88_224_232,   4.409),
    ("B/16",  16,  768, 12, 3072, 12, 197,    86_567_656,  17.564),
    ("B/8",    8,  768, 12, 3072, 12, 785,    86_576_872,  78.148),
    ("L/32",  32, 1024, 24, 4096, 16,  50,   306_535_400,  15.378),
    ("L/16",  16, 1024, 24, 4096, 16, 197,   304_326_632,  61.555),
    ("H/14",  14, 1280, 32, 5120, 16, 257,   632_045_800, 167.295),
    ("g/14",  14, 1408, 40, 6144, 16, 257, 1_012_611_432, 267.031),
    ("G/14",  14, 1664, 48, 8192, 16, 257, 1_844_440_680, 483.748),
]


# Parameters as timm 1.0.31 counts them, its CLIP with the classes given; of MAE's encoder as transformers counts them,
# the fixed table among them.
#   relative                    side     K      T     parameters
RELATIVES = [
    ("DeiT-Ti/16 distilled",     224, 1000,   198,     5_910_800),
    ("DeiT-S/16 distilled",      224, 1000,   198,    22_436_432),
    ("DeiT-B/16 distilled",      224, 1000,   198,    87_338_192),
    ("DINOv2-S/14",              518,    0,  1370,    22_056_192),
    ("DINOv2-B/14",              518,    0,  1370,    86_579_712),
    ("DINOv2-L/14",              518,    0,  1370,   304_367_616),
    ("DINOv2-g/14",              518,    0,  1370, 1_136_479_232),
    ("DINOv2-S/14 registers",    518,    0,  1374,    22_057_344),
    ("DINOv2-B/14 registers",    518,    0,  1374,    86_582_016),
    ("DINOv2-L/14 registers",    518,    0,  1374,   304_370_688),
    ("DINOv2-g/14 registers",    518,    0,  1374, 1_136_483_840),
    ("MAE-B/16",                 224,    0,   197,    85_798_656),
    ("MAE-L/16",                 224,    0,   197,   303_301_632),
    ("MAE-H/14",                 224,    0,   257,   630_764_800),
    ("CLIP-B/32",                224,  512,    50,    87_849_728),
    ("CLIP-B/16",                224,  512,   197,    86_193_152),
    ("CLIP-L/14",                224,  768,   257,   303_966_976),
    ("SigLIP-B/16",              224,    0,   196,    92_884_224),
    ("SigLIP-L/16",              256,    0,   256,   315_956_224),
    ("SigLIP-So400m/14",         224,    0,   256,   427_680_704),
    ("g/14 MAP",                 224, 1000,   256, 1_037_857_384),
    ("G/14 MAP",                 224, 1000,   256, 1_882_797_416),
]


@pytest.mark.parametrize("name, side, classes, tokens, parameters", RELATIVES, ids=[row[0] for row in RELATIVES])
def test_a_relatives_sizes_and_parameters(name, side, classes, tokens, parameters):
    config = minivit.VARIANTS[name]
    assert (config.image_size, config.num_tokens) == (side, tokens)
    assert config.num_classes == (0 if name.startswith("CLIP") else classes)
    assert minivit.parameter_count(replace(config, num_classes=classes)) == parameters


@pytest.mark.parametrize("name, heads, mlp_width, eps", [
    ("DINOv2-g/14", 24, 4096, 1e-6), ("DINOv2-g/14 registers", 24, 4096, 1e-6), ("CLIP-L/14", 16, 4096, 1e-5),
    ("CLIP-B/32", 12, 3072, 1e-5), ("SigLIP-So400m/14", 16, 4304, 1e-6), ("DeiT-S/16 distilled", 6, 1536, 1e-6),
    ("MAE-H/14", 16, 5120, 1e-6), ("g/14 MAP", 16, 6144, 1e-6), ("G/14 MAP", 16, 8192, 1e-6)])
def test_heads_and_eps_of_the_relatives(name, heads, mlp_width, eps):
    """timm's, which parity/test_relatives_names.py compares with those it builds."""
    config = minivit.VARIANTS[name]
    assert (config.num_heads, config.mlp_width, config.layer_norm_eps) == (heads, mlp_width, eps)


def test_the_table_has_exactly_these_variants():
    assert list(minivit.VARIANTS) == [row[0] for row in TABLE] + [row[0] for row in RELATIVES]


@pytest.mark.parametrize("name, P, D, L, M, H, T, parameters, gmacs", TABLE, ids=[row[0] for row in TABLE])
def test_a_variants_sizes_and_counts(name, P, D, L, M, H, T, parameters, gmacs):
    config = minivit.VARIANTS[name]
    assert (config.patch_size, config.width, config.num_layers, config.mlp_width, config.num_heads) == (P, D, L, M, H)
    assert (config.image_size, config.num_classes, config.num_tokens) == (224, 1000, T)
    assert minivit.parameter_count(config) == minivit.parameter_count(name) == parameters
    assert minivit.macs(name) == minivit.macs(config)
    assert round(minivit.macs(config) / 1e9, 3) == gmacs


@pytest.mark.parametrize("name, megabytes", [("Ti/16", 22.9), ("S/16", 88.2), ("B/16", 346.3), ("L/16", 1217),
                                             ("H/14", 2528), ("g/14", 4050), ("G/14", 7378)])
def test_four_bytes_a_parameter(name, megabytes):
    found = 4 * minivit.parameter_count(minivit.VARIANTS[name]) / 1e6
    assert found == pytest.approx(megabytes, abs=0.05 if megabytes < 1000 else 0.5)


@pytest.mark.parametrize("name, size, parameters", [("B/16", 384, 86_859_496), ("L/16", 384, 304_715_752),
                                                    ("H/14", 518, 633_470_440)])
def test_higher_resolutions(name, size, parameters):
    assert minivit.parameter_count(replace(minivit.VARIANTS[name], image_size=size)) == parameters


def test_the_cost_of_a_higher_resolution():
    assert round(minivit.macs(replace(minivit.VARIANTS["B/16"], image_size=384)) / 1e9, 2) == 55.48


@pytest.mark.parametrize("exaflops, name, epochs", [(224, "B/16", 7), (1567, "L/16", 14), (4262, "H/14", 14)])
def test_table_6_of_the_paper(exaflops, name, epochs):
    """Three times the forward pass, two FLOP a MAC, 303 million images an epoch."""
    assert 6 * minivit.macs(minivit.VARIANTS[name]) * 303e6 * epochs / 1e18 == pytest.approx(exaflops, rel=3e-3)


@pytest.mark.parametrize("name", ["Ti/16", "S/32", "S/16"])
def test_a_variant_is_initialised_and_run(name):
    model = minivit.init(name)
    assert sum(w.size for w in flatten(model.params).values()) == minivit.parameter_count(model.config)
    logits = model(np.random.default_rng(0).standard_normal((1, 224, 224, 3)).astype(np.float32))
    assert logits.shape == (1, 1000) and logits.dtype == np.float32
    assert np.isfinite(logits).all() and logits.std() > 0


@pytest.mark.parametrize("changes", [{}, {"pool": "mean"}, {"pool": "mean", "class_token": False}, {"num_classes": 0},
                                     {"position": "sincos2d"}, {"position": "none"}, {"image_size": (8, 20)}])
def test_parameters_are_counted_as_they_are_made(changes):
    config = minivit.ViTConfig(**{"patch_size": 4, "width": 8, "num_layers": 2, "mlp_width": 12, "num_heads": 2,
                                  "num_classes": 5, "image_size": 8} | changes)
    made = flatten(minivit.init(config).params)
    assert sum(w.size for w in made.values()) == minivit.parameter_count(config)


def test_non_square_images_have_a_grid_of_rows_and_columns():
    config = minivit.ViTConfig(image_size=(224, 320))
    assert config.height_width == (224, 320) and config.grid == (14, 20)
    assert (config.num_patches, config.num_tokens) == (280, 281)
    assert minivit.ViTConfig(image_size=(64, 64)) == minivit.ViTConfig(image_size=64)


@pytest.mark.parametrize("changes, message", [
    ({"image_size": 225}, "225 x 225 cannot be cut into patches of 16 x 16"),
    ({"image_size": (224, 230)}, "224 x 230 cannot be cut"),
    ({"image_size": 0}, "image_size is a number of pixels"),
    ({"image_size": (224, 224, 3)}, "image_size is a number of pixels"),
    ({"num_heads": 7}, "768 features do not split into 7 heads"),
    ({"width": 0}, "width is a whole number from 1 to 65,536, found 0"),
    ({"num_layers": 2.0}, r"num_layers is a whole number from 1 to 1,000, found 2\.0"),
    ({"num_layers": True}, "num_layers is a whole number"),
    ({"num_classes": -1}, "num_classes is a whole number"),
    ({"pool": "max"}, "pool is one of cls, mean, normed_mean, map, distilled, found 'max'"),
    ({"position": "rope"}, "position is one of learned, fixed, sincos2d, none"),
    ({"gelu": "relu"}, "gelu is one of erf, tanh, quick"),
    ({"layer_norm_eps": 0.0}, "layer_norm_eps is a number from 1e-20 to 1, found 0.0"),
    ({"layer_norm_eps": float("inf")}, "layer_norm_eps is a number from 1e-20 to 1, found inf"),
    ({"layer_norm_eps": float("nan")}, "layer_norm_eps is a number from 1e-20 to 1, found nan"),
    ({"class_token": False}, r"reads the \[CLS\] token"),
    ({"class_token": False, "pool": "mean", "dist_token": True}, r"stands beside \[CLS\]"),
    ({"pool": "distilled"}, "reads the distillation token: set dist_token=True"),
    ({"registers": -1}, "registers is a whole number from 0 to 1,000, found -1"),
    ({"norm_pre": 1}, "norm_pre is True or False, found 1"), ({"layer_scale": None}, "layer_scale is True or False"),
])
def test_parts_that_do_not_fit_are_an_error(changes, message):
    with pytest.raises(ValueError, match=message):
        minivit.ViTConfig(**changes)


def test_a_config_is_frozen():
    with pytest.raises(FrozenInstanceError):
        minivit.VARIANTS["B/16"].width = 1


def test_a_config_by_name_with_changes():
    assert as_config("B/16", num_classes=10) == replace(minivit.VARIANTS["B/16"], num_classes=10)
    with pytest.raises(ValueError, match="unknown variant 'B/17': choose one of Ti/16"):
        as_config("B/17")
    with pytest.raises(ValueError, match="has no field 'depth'"):
        as_config("B/16", depth=3)


def test_variants_are_recognised_by_their_sizes():
    for name, config in minivit.VARIANTS.items():
        assert variant_name(replace(config, num_classes=3, image_size=2 * config.patch_size)) == name
    assert variant_name(replace(minivit.VARIANTS["B/16"], num_layers=11)) is None
