"""Files that Pillow cannot read by itself, told by their first bytes, and what each needs."""

CONVERT = "or convert it to PNG or JPEG"
PILLOW_HEIF = f"install pillow-heif and call pillow_heif.register_heif_opener() first, {CONVERT}"
BRANDS = {                  # of an ISO media file: four bytes of length, then "ftyp" and the brand
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
                    f"it is HEIC: {PILLOW_HEIF}"),
    **dict.fromkeys((b"avif", b"avis"), f"it is AVIF: install Pillow 11.3 or later, {CONVERT}"),
}
POSTSCRIPT = "it is PostScript, a program: install Ghostscript and draw it, gs -sDEVICE=png16m -o picture.png FILE"
STARTS = (
    (b"\xff\x0a", f"it is JPEG XL: install pillow-jxl-plugin and import pillow_jxl first, {CONVERT}"),
    (b"\x00\x00\x00\x0cJXL ", f"it is JPEG XL: install pillow-jxl-plugin and import pillow_jxl first, {CONVERT}"),
    (b"%!PS", POSTSCRIPT),
    (b"\xc5\xd0\xd3\xc6", POSTSCRIPT),
    (b"%PDF", "it is a PDF: convert the page to PNG first"),
    (b"<svg", "it is an SVG drawing: convert it to PNG first"),
    (b"<?xml", "it is an XML file, perhaps an SVG drawing: convert it to PNG first"),
    (b"<!DOCTYPE", "it is a web page, perhaps of a download that failed: download the image itself"),
    (b"<html", "it is a web page, perhaps of a download that failed: download the image itself"),
    (b"version https://git-lfs", "it is a Git LFS pointer, not the image: run git lfs pull"),
)


def advice(file):
    """What a file that Pillow does not know needs, or None. file: a path, or an open binary file."""
    try:
        if hasattr(file, "read"):
            file.seek(0)
            start = file.read(32)
        else:
            with open(file, "rb") as opened:
                start = opened.read(32)
    except (OSError, ValueError):
        return None
    if start[4:8] == b"ftyp" and start[8:12] in BRANDS:
        return BRANDS[start[8:12]]
    return next((needs for sign, needs in STARTS if start.startswith(sign)), None)
