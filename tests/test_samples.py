"""The pictures that come with the package: each has a class, a source and a licence, and together they stay small."""

from PIL import Image

from minivit import samples

FOLDER = samples.CAT.parent
README = (FOLDER / "README.md").read_text("utf-8")


def test_each_photo_has_a_class_an_author_and_a_licence():
    names = [path.relative_to(samples.PHOTOS).as_posix() for path in samples.PHOTOS.rglob("*") if path.is_file()]
    assert len(names) == 9
    for name in names:
        assert name.split("/")[0] in samples.CLASSES
        cells = README.partition(f"| `{name}` |")[2].splitlines()[0].split("|")
        assert cells[0].strip() and cells[1].strip() in ("CC0 1.0", "public domain")


def test_photos_are_pictures_and_small():
    photos = [samples.CAT, samples.CAT_UNCROPPED, *samples.PHOTOS.rglob("*.jpg")]
    for path in photos:
        with Image.open(path) as picture:
            assert picture.format == "JPEG" and min(picture.size) >= 180
            picture.load()
    assert sum(path.stat().st_size for path in photos) <= 300_000
