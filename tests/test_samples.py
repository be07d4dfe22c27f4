"""The pictures that come with the package: each has a class, a source and a licence, and together they stay small. And
the tables of a model that began at random."""

import numpy as np
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


def test_the_tables_of_a_plain_start_are_learned_ones():
    tables = samples.plain_start()
    assert {name: (a.shape, a.dtype) for name, a in tables.items()} == {
        "filters": ((48, 128), np.float32), "positions": ((1, 65, 128), np.float32)}
    places = tables["positions"][0, 1:] - tables["positions"][0, 1:].mean(axis=0)                    # (64, 128)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    similarity = places @ places.T - 2 * np.eye(64)
    rows, columns = np.divmod(np.arange(64), 8)
    likest = similarity.argmax(axis=1)
    steps = np.abs(rows - rows[likest]) + np.abs(columns - columns[likest])
    assert (steps == 1).mean() > 0.9                                     # nobody told it of a grid
    filters = tables["filters"].reshape(4, 4, 3, 128)
    smooth = np.abs(np.diff(filters, axis=1)).mean() / np.abs(filters).mean()
    noise = np.random.default_rng(0).standard_normal(filters.shape)
    assert smooth < 0.9 * np.abs(np.diff(noise, axis=1)).mean() / np.abs(noise).mean()
