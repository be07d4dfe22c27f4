"""How large an encoded image may be, so that decoding any file stays below 500 MB and, on one core, below 5 seconds.

A file of a few kilobytes may claim any size, so what decoding would take is reckoned from its header alone. Decoded
pixels take 4 bytes, and 4 more while they are turned upright or become RGB. What some decoders need beside that is in
MOST_PIXELS. JPEG alone can be decoded at a half, a quarter or an eighth of its size: there the limit shrinks the image
instead of refusing it.
"""

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from ..errors import ImageError
from .jpeg_scans import scans

MOST_BYTES = 200_000_000            # of a file: some decoders hold all of it
# The kinds of image that are read. HEIF is read where a plug-in of Pillow's for it is installed and registered.
MOST_PIXELS = {"JPEG": 50_000_000, "MPO": 50_000_000, "PNG": 50_000_000, "GIF": 50_000_000, "BMP": 50_000_000,
               "DIB": 50_000_000, "PPM": 50_000_000, "TGA": 50_000_000, "TIFF": 30_000_000, "WEBP": 16_000_000,
               "AVIF": 16_000_000, "JPEG2000": 4_000_000, "HEIF": 16_000_000}
MOST_IN_PYTHON = 1_000_000          # pixels, for the kinds that Pillow decodes byte by byte in Python
MEMORY = 400_000_000                # bytes, for a JPEG's coefficients and pixels together
MOST_SCANNED = 1_000_000_000        # pixels times scans: each scan of a progressive JPEG goes over the whole image


def open_within(file):
    """Pillow's image of an open file or a path, of a kind in MOST_PIXELS, with nothing but its header read."""
    try:
        return Image.open(file, formats=[kind for kind in MOST_PIXELS if kind in Image.OPEN])
    except Image.UnidentifiedImageError:
        Image.init()                                    # the rarer plug-ins are imported for a rare file alone
        return Image.open(file, formats=[kind for kind in MOST_PIXELS if kind in Image.OPEN])


def keep_within(picture, name):
    """Raises ImageError where decoding would take too much; a JPEG is set to be decoded at a smaller size instead."""
    pixels, most = picture.width * picture.height, MOST_PIXELS.get(picture.format, MOST_IN_PYTHON)
    if isinstance(picture, JpegImageFile):
        if not picture.tile:                            # decoded already
            return
        most = min(most, (MEMORY - _coefficients(picture, name)) // 8)
        shrink = next((s for s in (1, 2, 4, 8) if pixels <= most * s * s), None)
        if shrink is not None:
            if shrink > 1:
                picture.draft(None, (picture.width // shrink, picture.height // shrink))
            return
    elif any(tile[0] in Image.DECODERS for tile in picture.tile):
        most = MOST_IN_PYTHON
    if pixels > most:
        raise ImageError(f"{name} has {picture.width:,} x {picture.height:,} pixels, and a file of its kind, "
                         f"{picture.format}, may have {most:,}: scale it down first, or save it as JPEG")


def _coefficients(picture, name):
    """Bytes of a JPEG's coefficients, two each, that its decoder holds at once: all, where there are several scans."""
    picture.fp.seek(0)
    content = picture.fp.read()
    pixels = picture.width * picture.height
    # Were each byte a scan, it would not take too long; nor would four colours' coefficients leave too little memory.
    if len(content) * pixels < MOST_SCANNED and 16 * pixels < MEMORY:
        return 0
    components = scans(content, all_of_them=bool(picture.info.get("progressive")))
    if len(components) * pixels > MOST_SCANNED:
        raise ImageError(f"{name} is a JPEG of {pixels:,} pixels in {len(components):,} scans, which would take too "
                         "long to decode: save it anew")
    if len(components) == 1 and components[0] == picture.layers:
        return 0
    widest, highest = (max(layer[i] for layer in picture.layer) for i in (1, 2))
    taken = 2 * sum(across * down for _, across, down, _ in picture.layer) * pixels // (widest * highest)
    if taken > MEMORY * 3 // 4:
        raise ImageError(f"{name} is a progressive JPEG of {picture.width:,} x {picture.height:,} pixels, which take "
                         f"{taken:,} bytes to decode: scale it down first, or save it as a baseline JPEG")
    return taken
