"""Pixels that were prepared otherwise: named from the image, or seen from the numbers alone, and no false alarm."""

from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL, images, peaked_model
from PIL import Image

import minivit
from minivit.images.preparation import prepare
from minivit.samples import CAT
from minivit.tracing import trace

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
RAW = {"mean": (0, 0, 0), "std": (1, 1, 1)}


@pytest.fixture(scope="module")
def model():
    return peaked_model(replace(SMALL, image_size=(48, 40)))


def port(model, turned=1, times=1.0, **recipe):
    """A port's steps on the cat, prepared by another recipe."""
    x = prepare(CAT, (48, 40), replace(model.preprocessing, **recipe)).astype("f8")[..., ::turned] * times
    return trace(model, np.ascontiguousarray(x))


RECIPES = {"ImageNet's mean": (IMAGENET, "ImageNet's mean"), "not normalised": (RAW, "not normalised"),
           "bilinear": ({"interpolation": "bilinear"}, 'interpolation="bilinear"'),
           "stretched": ({"resize": "stretch"}, 'resize="stretch"'),
           "crop": ({"crop_fraction": 0.875}, "crop_fraction=0.875"), "turned": ({"turned": -1}, "blue, green, red"),
           "0 to 255": ({**RAW, "times": 255.0}, "0 to 255"),
           "three": ({**IMAGENET, "interpolation": "bilinear", "resize": "stretch"}, 'interpolation="bilinear"')}


@pytest.mark.parametrize("name", RECIPES)
def test_with_the_image_the_recipe_is_named(model, name):
    recipe, words = RECIPES[name]
    comparison = minivit.compare(model, port(model, **recipe), image=CAT)
    assert comparison.first_difference == "pixels" and words in comparison.cause
    assert "pixels" in comparison.cause and not comparison.agrees


@pytest.mark.parametrize("recipe, words", [
    (IMAGENET, "ImageNet's mean"), (RAW, "not normalised"), ({**RAW, "times": 255.0}, "0 to 255"),
    ({"mean": (0.485, 0.456, 0.406), "std": (1, 1, 1)}, "no standard deviation")])
def test_without_the_image_another_normalisation_is_seen(model, recipe, words):
    comparison = minivit.compare(model, port(model, **recipe))
    assert comparison.first_difference == "pixels" and words in comparison.cause
    assert "look" in comparison.cause                       # what is seen, and not more
    assert all(row.agrees for row in comparison.rows[1:])


def test_colours_turned_under_their_own_means(model):
    model = model.with_params(model.params)
    model.preprocessing = minivit.Preprocessing(**IMAGENET)
    assert minivit.compare(model, port(model)).agrees
    turned = {key: value[::-1] for key, value in IMAGENET.items()}
    comparison = minivit.compare(model, port(model, **turned))
    assert "blue, green, red" in comparison.cause and "look" in comparison.cause


def test_what_the_numbers_cannot_tell_raises_no_alarm(model):
    for recipe in ({}, {"interpolation": "bilinear"}, {"resize": "stretch"}):
        comparison = minivit.compare(model, port(model, **recipe))
        assert comparison.agrees and not comparison.remarks and comparison.cause is None
    for x in (images(model.config), np.zeros((1, 48, 40, 3)), np.ones((1, 48, 40, 3))):
        assert minivit.compare(model, trace(model, x)).agrees


def test_unlikely_pixels_are_remarked_and_agree(model):
    """Floats from 0 to 1 on no grid of 8 bits, and a picture bluer than most: a remark, no difference."""
    comparison = minivit.compare(model, trace(model, np.random.default_rng(0).random((1, 48, 40, 3))))
    assert comparison.agrees and "look like 0 to 1" in comparison.remarks[0] and "look like 0 to 1" in repr(comparison)
    blue = np.random.default_rng(0).integers(0, 255, (48, 40, 3), np.uint8) // np.array([4, 3, 1], np.uint8)
    comparison = minivit.compare(model, trace(model, model.prepare(Image.fromarray(blue)).astype("f8")))
    assert comparison.agrees and "bluer than most" in comparison.remarks[0]


def test_the_order_of_normalisation_is_rounding(model):
    """x · (1/255) instead of x / 255: 1e-7 off, and no other recipe."""
    x = prepare(CAT, (48, 40), model.preprocessing).astype("f8")
    steps = trace(model, x * (1 + 1e-7))
    assert minivit.compare(model, steps, image=CAT).agrees
