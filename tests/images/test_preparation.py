"""Preprocessing against timm's, torchvision's and Hugging Face's own outputs, every kind of image, and bad ones."""

import io
import math
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import minivit
from minivit import samples
from minivit.images.decoding import rgb
from minivit.images.preparation import denormalise, fit, fraction_of, normalise, prepare

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "preprocessing.npz")
CASES = [name for name in REFERENCE.files if "|" in name]
PLAIN = minivit.Preprocessing(crop_fraction=1.0)


@pytest.mark.parametrize("case", CASES)
def test_bit_equal_to_the_libraries(case):
    image, library, described = case.split("|")
    size, resize, interpolation = described.split(", ")
    height, width = map(int, size.split(" x "))
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    preprocessing = {
        "timm": lambda: minivit.Preprocessing(**imagenet, crop_fraction=float(resize), interpolation=interpolation),
        "torchvision": lambda: minivit.Preprocessing(**imagenet, crop_fraction=height / int(resize),
                                                     interpolation=interpolation),
        "hugging_face": lambda: minivit.Preprocessing(resize="stretch", interpolation=interpolation),
    }[library]()
    found = prepare(REFERENCE[image], (height, width), preprocessing)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], REFERENCE[case])


def test_the_stored_outputs_tell_the_settings_apart():
    """Were all cases alike, bit equality would say little."""
    outputs = {REFERENCE[case].tobytes() for case in CASES}
    assert len(CASES) == 61 and len(outputs) == 61 - 3          # at 24 px, fraction 1, timm and torchvision agree


PHOTO = REFERENCE["photo"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "RGBa"])
def test_modes_become_rgb_as_pillow_makes_them(mode):
    via = {"RGBa": "RGBA", "PA": "P"}.get(mode)
    picture = Image.fromarray(PHOTO)
    picture = (picture.convert(via) if via else picture).convert(mode)
    np.testing.assert_array_equal(np.asarray(rgb(picture)), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("ending, mode", [("jpg", "RGB"), ("jpg", "L"), ("jpg", "CMYK"), ("png", "RGBA"), ("png", "P"),
                                          ("png", "LA"), ("png", "1"), ("webp", "RGB"), ("gif", "P"), ("bmp", "RGB"),
                                          ("tiff", "CMYK")])
def test_files_become_rgb_as_pillow_makes_them(tmp_path, ending, mode):
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(PHOTO).convert(mode).save(path)
    with Image.open(path) as picture:
        expected = np.asarray(picture.convert("RGB"))
    with Image.open(path) as opened:
        for source in (path, str(path), opened):
            np.testing.assert_array_equal(np.asarray(rgb(source)), expected)


def test_a_transparent_palette_loses_its_transparency_without_a_warning(tmp_path):
    picture = Image.fromarray(PHOTO).convert("P")
    picture.save(tmp_path / "photo.png", transparency=bytes(range(256)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = np.asarray(rgb(tmp_path / "photo.png"))
    np.testing.assert_array_equal(found, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, orientation):
    """EXIF says how the stored rows and columns lie in the upright image (JEITA CP-3451, tag 0x0112)."""
    upright = PHOTO
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
              5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2),
              8: np.rot90(upright, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(rgb(tmp_path / "photo.png")), upright)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_16_bit_grey_is_scaled(mode):
    values = np.array([[0, 257, 32768, 65535, 128, 129]])
    picture = {"I": lambda: Image.fromarray(values.astype(np.int32)),
               "I;16": lambda: Image.fromarray(values.astype(np.uint16)),
               "I;16B": lambda: Image.frombytes("I;16B", (6, 1), values.astype(">u2").tobytes())}[mode]()
    assert picture.mode == mode
    np.testing.assert_array_equal(np.asarray(rgb(picture))[0], [[v] * 3 for v in (0, 1, 128, 255, 0, 1)])


def test_16_bit_files_are_scaled(tmp_path):
    grey = np.linspace(0, 65535, 20 * 30).reshape(20, 30).astype(np.uint16)
    for name in ("grey.png", "grey.tiff"):
        Image.fromarray(grey).save(tmp_path / name)
        found = np.asarray(rgb(tmp_path / name)).astype(float)
        assert np.abs(found - grey[..., None] / 257).max() <= 0.5


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_modes_that_do_not_tell_their_range_are_read_as_pillow_reads_8_bit_values(dtype):
    """Mode I and mode F: the same pixels as the 8-bit image, and as Pillow's own conversion makes of them."""
    grey = np.asarray(Image.fromarray(PHOTO).convert("L"))
    for values in (grey, grey // 128 * 2, grey * 0 + 255):
        picture = Image.fromarray(values.astype(dtype))
        assert picture.mode == ("I" if dtype is np.int32 else "F")
        np.testing.assert_array_equal(np.asarray(rgb(picture)), np.dstack([values] * 3))
        np.testing.assert_array_equal(np.asarray(rgb(picture)), np.asarray(picture.convert("L").convert("RGB")))


def test_float_images_and_arrays_are_rounded_to_8_bits():
    bright = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    expected = np.arange(256).reshape(16, 16)
    for image in (bright, Image.fromarray(bright), bright.astype(np.float64), bright.astype(np.float16)):
        np.testing.assert_array_equal(np.asarray(rgb(image))[..., 0], expected)


def test_arrays_agree_with_files(tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    expected = prepare(tmp_path / "photo.png", (32, 32), PLAIN)
    alpha = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 7, np.uint8)])
    for image in (PHOTO, alpha, PHOTO / 255, np.asfortranarray(PHOTO), PHOTO[::-1][::-1]):
        np.testing.assert_array_equal(prepare(image, (32, 32), PLAIN), expected)
    grey = PHOTO[..., 0]
    np.testing.assert_array_equal(prepare(grey, (32, 32), PLAIN), prepare(np.dstack([grey] * 3), (32, 32), PLAIN))


def test_batches():
    one = prepare(PHOTO, (32, 32), PLAIN)
    for batch in (PHOTO[None], [PHOTO], (PHOTO,)):
        np.testing.assert_array_equal(prepare(batch, (32, 32), PLAIN), one)
    mixed = prepare([PHOTO, samples.CAT, Image.fromarray(PHOTO), PHOTO[:50, :40, 0] / 255], (32, 32), PLAIN)
    assert mixed.shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(mixed[0], mixed[2])


def test_stretch_then_crop_and_where_the_centre_falls():
    """Against Pillow's own resize and slices: both sides to 40, of which 33 are kept, 3.5 pixels from the edge."""
    settings = {"mean": (0, 0, 0), "std": (1, 1, 1), "interpolation": "bicubic", "crop_fraction": fraction_of(33, 40)}
    for offset, first in (("round", 4), ("floor", 3)):
        found = prepare(PHOTO, (33, 33), minivit.Preprocessing(resize="stretch_crop", crop_offset=offset, **settings))
        stretched = np.asarray(Image.fromarray(PHOTO).resize((40, 40), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(found[0], (stretched[first:first + 33, first:first + 33] / np.float32(255)))
    for size in range(1, 400, 7):
        for covered in range(size, 2 * size + 3, 5):
            assert math.floor(size / fraction_of(size, covered)) == covered, (size, covered)


def test_images_that_are_not_to_be_resized():
    as_it_is = minivit.Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), resize="none")
    height, width = PHOTO.shape[:2]
    np.testing.assert_array_equal(prepare(PHOTO, (height, width), as_it_is)[0], PHOTO / np.float32(255))
    with pytest.raises(minivit.ImageError, match=f"as they are, found {width} x {height}: resize the image"):
        prepare(PHOTO, (height, width + 1), as_it_is)


def test_normalise_and_back():
    preprocessing = minivit.Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    x = normalise(PHOTO, preprocessing)
    np.testing.assert_allclose(x, (PHOTO / 255 - [0.1, 0.2, 0.3]) / [0.4, 0.5, 0.6], rtol=0, atol=1e-6)
    np.testing.assert_allclose(denormalise(x, preprocessing), PHOTO / 255, rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings, said", [
    ({"mean": (0.5, 0.5)}, "one number for each of R, G, B"),
    ({"std": (0.5, 0, 0.5)}, "std of G is a number from 0.0001"),
    ({"mean": (0.5, float("nan"), 0.5)}, "mean of G is a number from"), ({"resize": "squash"}, 'resize is one of'),
    ({"crop_fraction": 0}, "from 0.01 to 1, found 0"), ({"crop_fraction": 90}, "from 0.01 to 1, found 90"),
    ({"interpolation": "cubic"}, "bilinear, bicubic"),
])
def test_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said):
        minivit.Preprocessing(**settings)


# Bad input: one line each, with what was found and what to do.

def error_of(image):
    with pytest.raises(minivit.ImageError) as caught:
        prepare(image, (32, 32), PLAIN)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300
    return message


def encoded(ending="JPEG"):
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, ending)
    return file.getvalue()


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))


@pytest.mark.parametrize("name, content, said", [
    ("notes.png", b"These are notes, not a picture.\n" * 20, "not an image of a kind that is read"),
    ("photo.jpg", b"", "is empty (0 bytes)"),
    ("photo.jpg", encoded()[:-2000], "damaged or cut short"),
    ("photo.jpg", encoded()[:30], "not an image|damaged or cut short"),
    ("photo.png", encoded("PNG")[:2000], "damaged or cut short"),
    ("bomb.png", png_header(40_000, 40_000), "would unpack to more than 178,956,970 pixels: scale it down"),
    ("nothing.png", png_header(0, 5), "not an image|damaged|at least one"),
    ("model.safetensors", b"\x10\0\0\0\0\0\0\0{}              ", "not an image of a kind that is read"),
    ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), "install pillow-heif"),
    ("drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
     "install Ghostscript"),
    ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "convert it to PNG"),
    ("pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "run git lfs pull"),
])
def test_bad_files(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    message = error_of(tmp_path / name)
    assert name in message and any(part in message for part in said.split("|"))


def test_missing_files_and_folders(tmp_path):
    assert "no such file" in error_of(tmp_path / "photo.jpg")
    assert "is a folder, not an image: give a file" in error_of(tmp_path)
    assert "is a folder" in error_of("")
    assert re.search("no file's name|no such file", error_of("photo\0.jpg"))
    assert re.search("cannot be opened|no such file", error_of("x" * 5000)[:200])


@pytest.mark.parametrize("image, said", [
    (np.zeros((0, 5, 3), np.uint8), "no pixels"), (np.zeros((5, 0), np.uint8), "no pixels"),
    (Image.new("RGB", (0, 5)), "0 x 5 pixels"),
    (np.full((8, 8, 3), np.nan), "192 values that are NaN"),
    (np.array([[0.5, np.inf]]), "1 values that are NaN or inf"),
    (Image.fromarray(np.full((8, 8), np.nan, np.float32)), "NaN"),
    (np.zeros((8, 8, 2), np.uint8), "found (8, 8, 2)"), (np.zeros((8, 8, 5), np.uint8), "found (8, 8, 5)"),
    (np.zeros((8, 8, 1), np.uint8), "image[..., 0]"), (np.zeros((3, 8, 9), np.uint8), "image.transpose(1, 2, 0)"),
    (np.zeros((2, 3, 8, 8), np.uint8), "found (2, 3, 8, 8): move the colours last, image.transpose(0, 2, 3, 1)"),
    (np.zeros((2, 8, 8, 4), np.uint8), "(B, height, width, 3), found (2, 8, 8, 4)"),
    (np.zeros(7, np.uint8), "found (7,)"), (np.zeros((1, 1, 8, 8, 3), np.uint8), "found (1, 1, 8, 8, 3)"),
    (np.full((8, 8), 1.01), "found 1.01 to 1.01"),
    (np.full((8, 8), 1.0000001), "found 1.0000001 to 1.0000001"), (np.full((8, 8, 3), -0.1), "run from 0 to 1"),
    (np.full((8, 8, 3), 255.0), "divide 0-255 values by 255"),
    (Image.fromarray(np.full((8, 8), 1.01, np.float32)), "run from 0 to 1"),
    (Image.fromarray(np.full((8, 8), 256, np.float32)), "run from 0 to 1"),
    (Image.fromarray(np.full((8, 8), 70_000, np.int32)), "0 to 65535"),
    (Image.fromarray(np.full((8, 8), -1, np.int32)), "0 to 65535"),
    (np.zeros((8, 8, 3), int), "image.astype(np.uint8)"), (np.zeros((8, 8, 3), np.uint16), "65535.0"),
    (np.zeros((8, 8), bool), "found bool"), (np.zeros((8, 8), complex), "found complex128"),
    (np.zeros((8, 8), object), "found object"),
    ([], "empty batch"), (np.zeros((0, 8, 8, 3), np.uint8), "empty batch"),
    (None, "found NoneType"), (7, "found int"), (b"\xff\xd8", "io.BytesIO"),
    ([PHOTO, np.zeros((8, 8, 5), np.uint8)], "image 1 of the batch: an image array"),
    ([[PHOTO]], "image 0 of the batch: expected a path"),
    (Image.new("La", (4, 4)), "colour mode La, which does not turn into RGB"),
    (np.zeros((1, 4000, 3), np.uint8), "too narrow"),
])
def test_bad_images(image, said):
    assert said in error_of(image)


def test_arrays_of_other_libraries_are_named():
    class Tensor:
        ndim, shape = 4, (1, 3, 8, 8)

        def numpy(self):
            raise AssertionError("nothing is converted silently")

    class OnDevice:
        ndim, shape = 4, (1, 8, 8, 3)

        def get(self):
            raise AssertionError("nothing is moved silently")

    assert "found Tensor: give image.numpy()" in error_of(Tensor())
    assert "found OnDevice" in error_of(OnDevice()) and "model.to" in error_of(OnDevice())


@pytest.mark.parametrize("opened", [False, True])
def test_damaged_exif_is_no_damaged_picture(tmp_path, opened):
    """Pillow warns of it when it is asked how the picture is turned."""
    Image.fromarray(PHOTO).save(tmp_path / "photo.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    with warnings.catch_warnings(), Image.open(tmp_path / "photo.png") as picture:
        warnings.simplefilter("error")
        assert rgb(picture if opened else tmp_path / "photo.png").size == PHOTO.shape[1::-1]


@pytest.mark.parametrize("size", [(32, 32), (32, 20), (20, 32)])
def test_a_picture_is_stretched_unless_it_has_the_size(size):
    picture = Image.fromarray(PHOTO).resize(size)
    found = fit(picture, (32, 32), minivit.Preprocessing(resize="stretch"))
    np.testing.assert_array_equal(found, picture.resize((32, 32), Image.Resampling.BICUBIC))


def test_a_large_photo_is_read_without_a_warning(tmp_path, monkeypatch):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", PHOTO[..., 0].size - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rgb(tmp_path / "photo.png")


DTYPES = st.one_of(hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes(),
                   hnp.complex_number_dtypes(), hnp.unicode_string_dtypes(), hnp.datetime64_dtypes(), st.just(np.uint8))
SHAPES = st.one_of(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6),
                   st.tuples(*[st.integers(0, 40)] * 2, st.sampled_from([1, 2, 3, 4])))


@settings(max_examples=150, deadline=None)
@given(hnp.arrays(DTYPES, SHAPES) | hnp.arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32)))
def test_any_array_works_or_is_an_image_error(array):
    try:
        x = prepare(array, (6, 8), PLAIN)
    except minivit.ImageError as error:
        assert "\n" not in str(error)
    else:
        assert x.shape == (len(array) if array.ndim == 4 else 1, 6, 8, 3)
        assert x.dtype == np.float32 and np.isfinite(x).all() and np.abs(x).max() <= 1
        assert array.dtype == np.uint8 or array.dtype.kind == "f"


FILES = [encoded("JPEG"), encoded("PNG"), encoded("WEBP"), encoded("GIF"), encoded("TIFF"), encoded("BMP")]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FILES), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8), st.floats(0, 1))
def test_any_damage_to_a_file_works_or_is_an_image_error(tmp_path_factory, content, changes, length):
    content = bytearray(content)
    for place, value in changes:
        content[int(place ** 3 * (len(content) - 1))] = value           # mostly near the start, where the headers are
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[:int((1 - length ** 4) * len(content))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert rgb(path).mode == "RGB"
        except minivit.ImageError as error:
            assert "\n" not in str(error)


def test_a_missing_decoder_is_not_called_damage(tmp_path, monkeypatch):
    """A Pillow that was built without JPEG, or without WebP, as some for browsers are."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    monkeypatch.delattr(Image.core, "jpeg_decoder")
    with pytest.raises(minivit.ImageError, match=r"cannot be read by the Pillow.*decoder jpeg") as told:
        minivit.forward(tmp_path / "a.jpg")
    assert "damaged" not in str(told.value)
    from PIL import WebPImagePlugin
    (tmp_path / "a.webp").write_bytes(b"RIFF\x1a\0\0\0WEBPVP8L" + bytes(20))
    monkeypatch.setattr(WebPImagePlugin, "SUPPORTED", False)
    with pytest.raises(minivit.ImageError, match=r"cannot be read by the Pillow.*not installed"):
        minivit.forward(tmp_path / "a.webp")
