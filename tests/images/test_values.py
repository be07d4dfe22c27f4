"""Pixels as numbers: rounded to the nearest of 8 bits, resized by the filter asked for, each colour by its own mean."""

import io

import numpy as np
import pytest
from PIL import Image

import minivit
from minivit.images.decoding import rgb, rgb_from_bytes
from minivit.images.preparation import prepare

LEVELS = np.arange(255)


def levels(image):
    return np.asarray(rgb(image))[..., 0].ravel()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("off", [-0.45, -0.1, 0.1, 0.45])
def test_floats_go_to_the_nearest_level(dtype, off):
    values = np.clip((LEVELS + 0.5 + off) / 255, 0, 1).astype(dtype)[None]
    expected = LEVELS + (off > 0)
    np.testing.assert_array_equal(levels(values), expected)
    if dtype == np.float32:
        np.testing.assert_array_equal(levels(Image.fromarray(values)), expected)


@pytest.mark.parametrize("off", [-100, -1, 1, 100])
def test_16_bits_go_to_the_nearest_level(off):
    """65535 / 255 = 257 steps to a level: half of them belong to each neighbour."""
    values = (257 * LEVELS + 128.5 + off).round().astype(np.int64)
    expected = np.round(values / 257)
    for picture in (Image.fromarray(values.astype(np.uint16)[None]), Image.fromarray(values.astype(np.int32)[None])):
        np.testing.assert_array_equal(levels(picture), expected)


@pytest.mark.parametrize("brightest", [100, 255, 256, 65535])
def test_a_dark_file_of_16_bits_stays_dark(brightest):
    """A file tells its depth: from PGM, of which Pillow makes whole numbers of 32 bits, the levels that PNG has."""
    values = np.linspace(0, brightest, 12).round().astype(">u2")
    png = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)[None]).save(png, "PNG")
    plain = " ".join(map(str, values))
    for content in (b"P5 12 1 65535\n" + values.tobytes(), f"P2 12 1 65535\n{plain}\n".encode(), png.getvalue()):
        found = np.asarray(rgb_from_bytes(content, "x"))[..., 0].ravel()
        np.testing.assert_array_equal(found, np.round(values / 257))


@pytest.mark.parametrize("values, allowed", [((0, 65535), True), ((0, 65536), False), ((-1, 65535), False)])
def test_the_limits_of_16_bits(values, allowed):
    picture = Image.fromarray(np.array([values], np.int32))
    if allowed:
        np.testing.assert_array_equal(levels(picture), [0, 255])
    else:
        with pytest.raises(minivit.ImageError, match="0 to 65535"):
            rgb(picture)


@pytest.mark.parametrize("values, allowed", [((0.0, 1.0), True), ((0.0, 1.0001), False), ((-1e-4, 1.0), False)])
def test_the_limits_of_floats(values, allowed):
    if allowed:
        np.testing.assert_array_equal(levels(np.array([values])), [0, 255])
    else:
        with pytest.raises(minivit.ImageError, match="run from 0 to 1"):
            rgb(np.array([values]))


def test_an_images_own_channels_keep_their_order():
    """Red, green and blue stay apart through resizing and normalising: each has a mean and a std of its own."""
    picture = np.zeros((9, 9, 3), np.uint8) + np.uint8([51, 102, 204])
    preprocessing = minivit.Preprocessing(mean=(0.1, 0.2, 0.3), std=(1, 2, 4))
    x = prepare(picture, (4, 8), preprocessing)
    np.testing.assert_allclose(x, np.broadcast_to([0.1, 0.1, 0.125], (1, 4, 8, 3)), atol=1e-6)


PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).resize((97, 71), 3)


@pytest.mark.parametrize("interpolation, number", [("nearest", 0), ("lanczos", 1), ("bilinear", 2), ("bicubic", 3)])
@pytest.mark.parametrize("size", [(16, 16), (24, 16)])
def test_filters_are_pillows(interpolation, number, size):
    preprocessing = minivit.Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), resize="stretch", interpolation=interpolation)
    expected = np.asarray(PHOTO.resize(size[::-1], number)) / 255
    np.testing.assert_allclose(prepare(PHOTO, size, preprocessing)[0], expected, atol=1e-6)


def test_the_default_is_the_recipe_of_the_augreg_models_at_224_pixels():
    """timm's crop_pct 0.9, bicubic, mean and deviation 1/2: the short side covers 28/0.9 = 31 pixels (rounded down)."""
    resized = PHOTO.resize((int(31 * 97 / 71), 31), 3)
    left, top = round((resized.width - 28) / 2), round((31 - 28) / 2)
    expected = np.asarray(resized.crop((left, top, left + 28, top + 28))) / 127.5 - 1
    np.testing.assert_allclose(prepare(PHOTO, (28, 28), minivit.Preprocessing())[0], expected, atol=1e-6)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_an_image_without_pixels_is_refused_before_it_is_resized(size):
    with pytest.raises(minivit.ImageError, match="it needs at least one"):
        rgb(Image.new("RGB", size))
