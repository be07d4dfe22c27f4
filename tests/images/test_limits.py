"""How large an image file may be: at the limits equal to Pillow, beyond them smaller or refused, and never heavy."""

import io
import os
import socket
import struct
import subprocess
import sys
import zlib

import numpy as np
import PIL
import pytest
from PIL import Image

import minivit
from minivit import samples
from minivit.images import colours, decoding, limits
from minivit.images.decoding import rgb, rgb_from_bytes
from minivit.images.jpeg_scans import scans
from minivit.images.preparation import prepare

MEGABYTES = 500
SECONDS = 5

PREPARE = f"""
import pathlib, resource, sys

def peak_megabytes():
    status = pathlib.Path("/proc/self/status")              # getrusage would begin with the parent's peak
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024

resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
import minivit
model = minivit.load()
try:
    print("prepared", model.prepare(sys.argv[1]).shape)
except minivit.ImageError as error:
    print("refused:", error)
used = peak_megabytes()
print("MB", used)
sys.exit(used > {MEGABYTES})
"""


def said_of(path):
    """What a fresh process says of an image within its limits of memory and CPU time."""
    result = subprocess.run([sys.executable, "-c", PREPARE, str(path)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(result.stdout.splitlines()) == 2, result.stdout
    return result.stdout


def png(path, width, height, depth=8, colour=2, interlaced=False):
    """A PNG that is black, row by row, so that making it takes no memory. colour: 0 grey, 2 RGB, 3 palette, 6 RGBA."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    bits = depth * {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    # Interlaced, an image consists of seven smaller ones, whose rows are at most as long: a few rows more do no harm.
    row = bytes(1 + (width * bits + 7) // 8)
    data = b"".join([packer.compress(row) for _ in range(height + (height // 4 if interlaced else 0))])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette
                     + chunk(b"IDAT", data + packer.flush()) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("depth, colour", [(8, 0), (16, 0), (8, 2), (8, 3), (8, 6)])
def test_a_png_of_small_file_and_large_claim(tmp_path, depth, colour):
    path = png(tmp_path / "large.png", 13_300, 0, depth, colour)
    header = bytearray(path.read_bytes())
    header[20:24] = struct.pack(">I", 13_300)
    header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
    path.write_bytes(header)
    with pytest.raises(minivit.ImageError, match="13,300 x 13,300 pixels, and a file of its kind, PNG, may have 5"):
        rgb(path)


@pytest.mark.parametrize("depth, colour, interlaced", [(16, 0, False), (8, 6, True)])
def test_the_largest_png(tmp_path, depth, colour, interlaced):
    assert said_of(png(tmp_path / "large.png", 7_071, 7_071, depth, colour, interlaced)).startswith("prepared")


def test_the_largest_tiff(tmp_path):
    """In one strip, which libtiff unpacks as a whole."""
    for side, outcome in ((5_477, "prepared"), (5_478, "refused")):
        Image.new("RGBA", (side, side)).save(tmp_path / "large.tif", compression="tiff_deflate", tiffinfo={278: side})
        assert said_of(tmp_path / "large.tif").startswith(outcome)


def test_the_largest_webp(tmp_path):
    for side, outcome in ((4_000, "prepared"), (4_001, "refused")):
        Image.new("RGB", (side, side), (1, 2, 3)).save(tmp_path / "large.webp", lossless=True, method=0)
        assert said_of(tmp_path / "large.webp").startswith(outcome)


def test_the_largest_progressive_jpeg(tmp_path):
    """Its coefficients take 300 MB, so it is decoded at half its size; and then it is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (7_071, 7_071), (9, 99, 50))
    picture.save(tmp_path / "large.jpg", exif=exif, progressive=True, subsampling=0)
    assert said_of(tmp_path / "large.jpg").startswith("prepared")


@pytest.mark.parametrize("options, said", [({}, "prepared"), ({"progressive": True}, "in 10 scans"),
                                           ({"progressive": True, "subsampling": 0}, "in 10 scans")])
def test_a_jpeg_of_small_file_and_large_claim(tmp_path, options, said):
    """Baseline, it is decoded at half its size; libjpeg makes the missing rest grey."""
    Image.new("RGB", (64, 64)).save(tmp_path / "large.jpg", **options)
    content = bytearray((tmp_path / "large.jpg").read_bytes())
    frame = next(content.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in content)
    content[frame + 5:frame + 9] = struct.pack(">HH", 13_300, 13_300)
    (tmp_path / "large.jpg").write_bytes(content)
    assert said in said_of(tmp_path / "large.jpg")


def test_the_coefficients_of_a_progressive_jpeg_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_SCANNED", 1 << 60)
    monkeypatch.setattr(limits, "MEMORY", 8 * 4 * 10_000)
    for subsampling, side in ((0, 200), (2, 282)):                  # 6 and 3 bytes a pixel, of three quarters of that
        Image.new("RGB", (side, side)).save(tmp_path / "fits.jpg", progressive=True, subsampling=subsampling)
        rgb(tmp_path / "fits.jpg")
        Image.new("RGB", (side + 2, side)).save(tmp_path / "large.jpg", progressive=True, subsampling=subsampling)
        with pytest.raises(minivit.ImageError, match="is a progressive JPEG of"):
            rgb(tmp_path / "large.jpg")


def test_a_jpeg_of_ten_thousand_scans(tmp_path):
    """Each costs ten bytes, and a pass over all of the image."""
    file = io.BytesIO()
    Image.new("RGB", (2_000, 2_000), (200, 100, 50)).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content[content.rindex(b"\xff\xda"):-2]
    (tmp_path / "scans.jpg").write_bytes(content[:-2] + b"\xff\xfe\x00\x04\xff\xd9" + 10_000 * last + b"\xff\xd9")
    assert "4,000,000 pixels in 10,010 scans" in said_of(tmp_path / "scans.jpg")


def test_a_jpeg_beyond_the_limit_is_the_same_picture_made_smaller(monkeypatch):
    whole = rgb(samples.CAT)
    area = whole.width * whole.height
    for shrink in (2, 4, 8):
        monkeypatch.setitem(limits.MOST_PIXELS, "JPEG", area // (shrink - 1) ** 2 - 1)
        found = rgb(samples.CAT)
        assert found.size == (-(-whole.width // shrink), -(-whole.height // shrink))
        expected = np.asarray(whole.reduce(shrink), float)                      # means over squares of pixels
        assert np.abs(np.asarray(found, float) - expected).mean() < 2                   # of 255


def test_a_jpeg_at_the_limit_is_pillows_own(monkeypatch):
    with Image.open(samples.CAT) as picture:
        expected = np.asarray(picture.convert("RGB"))
        monkeypatch.setitem(limits.MOST_PIXELS, "JPEG", picture.width * picture.height)
    np.testing.assert_array_equal(np.asarray(rgb(samples.CAT)), expected)


@pytest.mark.parametrize("options, expected", [({}, [3]), ({"progressive": True}, [3, *[1] * 5, 3, *[1] * 3])])
def test_scans_are_counted(options, expected):
    """Ten scans are libjpeg's own script for progressive files (jpeg_simple_progression): 2 over all colours."""
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "\xff\xda\xff\xd9" * 9
    Image.open(samples.CAT).save(file, "JPEG", exif=exif.tobytes() + b"\xff\xda\x00\x08\xff\xd9", **options)
    assert scans(file.getvalue() + b"\xff\xda\x00\x08\x03" * 7) == expected
    assert scans(file.getvalue(), all_of_them=False) == expected[:1]
    assert scans(file.getvalue()[:30]) == scans(b"") == []


def test_formats_decoded_in_python_have_a_low_limit(tmp_path):
    (tmp_path / "plain.ppm").write_bytes(b"P3 1001 1000 255\n" + b"0 " * 30)
    assert "may have 1,000,000" in said_of(tmp_path / "plain.ppm")


@pytest.mark.parametrize("ending", ["ico", "eps", "icns"])
def test_kinds_that_are_not_read(tmp_path, ending):
    """An icon's own header does not tell the size of the image in it; an EPS file is a program."""
    Image.open(samples.CAT).resize((64, 64)).save(tmp_path / f"picture.{ending}")
    with pytest.raises(minivit.ImageError, match="not an image of a kind that is read"):
        rgb(tmp_path / f"picture.{ending}")


PILLOW = tuple(int(number) for number in PIL.__version__.split(".")[:2])


@pytest.mark.parametrize("ending", [
    "gif", "webp", "png", "tiff",
    pytest.param("mpo", marks=pytest.mark.skipif(PILLOW < (10, 1), reason="Pillow 10.0 cannot read the MPO it writes")),
    pytest.param("avif", marks=pytest.mark.skipif(PILLOW < (11, 3), reason="Pillow knows AVIF from 11.3 on"))])
def test_of_several_frames_the_first_is_read(tmp_path, ending):
    frames = [Image.open(samples.CAT).rotate(angle) for angle in (0, 90, 180)]
    frames[0].save(tmp_path / f"frames.{ending}", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / f"frames.{ending}") as picture:
        expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(rgb(tmp_path / f"frames.{ending}")), expected)


def test_16_bit_grey_in_several_bands(monkeypatch):
    values = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 32
    monkeypatch.setattr(colours, "BAND", 3 * 50 + 7)
    np.testing.assert_array_equal(np.asarray(rgb(Image.fromarray(values)))[..., 1], np.round(values / 257))
    bright = (np.arange(2000, dtype=np.float32) / 1999).reshape(40, 50)
    np.testing.assert_array_equal(np.asarray(rgb(Image.fromarray(bright)))[..., 1], np.round(bright * 255))


@pytest.mark.parametrize("resize", ["crop", "stretch"])
@pytest.mark.parametrize("size", [(1, 65_000), (65_000, 1), (3, 301)])
def test_a_line_is_told_and_not_squeezed(resize, size):
    with pytest.raises(minivit.ImageError, match=f"an image of {size[0]:,} x {size[1]:,} pixels is too narrow"):
        prepare(Image.new("RGB", size), (224, 224), minivit.Preprocessing(resize=resize))
    prepare(Image.new("RGB", (3, 300)), (224, 224), minivit.Preprocessing(resize=resize))


def test_a_line_is_told_with_its_files_name(tmp_path):
    Image.new("RGB", (1, 900)).save(tmp_path / "line.png")
    with pytest.raises(minivit.ImageError, match=r"^\S*line\.png: an image of 1 x 900 pixels is too narrow"):
        prepare(tmp_path / "line.png", (224, 224), minivit.Preprocessing())


def test_what_is_scaled_before_the_crop_is_limited():
    with pytest.raises(minivit.ImageError, match="would be scaled to 2,222 x 177,760"):
        prepare(Image.new("RGB", (1, 80)), (2000, 2000), minivit.Preprocessing())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files")
def test_pipes_sockets_and_devices(tmp_path):
    os.mkfifo(tmp_path / "fifo.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        for path in (tmp_path / "fifo.png", tmp_path / "socket.png", "/dev/zero", "/dev/null"):
            assert "is no plain file but a pipe, socket or device" in said_of(path)


def test_what_is_refused_unread(monkeypatch):
    monkeypatch.setattr(decoding, "MOST_BYTES", 100)
    with pytest.raises(minivit.ImageError, match="an image has at most 100"):
        rgb(samples.CAT)
    with pytest.raises(minivit.ImageError, match="cat has more than 100 bytes"):
        rgb_from_bytes(samples.CAT.read_bytes(), "cat")
    with pytest.raises(minivit.ImageError, match="is no plain file but a pipe, socket or device"):
        rgb(os.devnull)


def test_a_file_of_a_terabyte(tmp_path):
    with open(tmp_path / "large.webp", "wb") as file:
        file.write(b"RIFF\xff\xff\xff\x7fWEBP")
        file.truncate(1 << 40)
    assert "has 1,099,511,627,776 bytes; an image has at most 200,000,000" in said_of(tmp_path / "large.webp")


def test_a_damaged_image_of_pillows_own_is_told():
    with Image.open(io.BytesIO(samples.CAT.read_bytes()[:3000])) as picture:
        with pytest.raises(minivit.ImageError, match=r"^the image is damaged or cut short"):
            rgb(picture)
