"""Labelled images from a folder or a zip in ImageFolder layout: <split>/<class>/<any name>.jpg."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..errors import ImageError
from ..image import Preprocessing, fit, rgb

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"}


@dataclass
class LabelledImages:
    """images: uint8 (n, H, W, 3); labels: (n,); classes: their names; names: each image's path inside the source."""

    images: np.ndarray
    labels: np.ndarray
    classes: list
    names: list

    def __len__(self):
        return len(self.images)

    def subset(self, chosen):
        """The images at these places."""
        return LabelledImages(self.images[chosen], self.labels[chosen], self.classes, [self.names[i] for i in chosen])


def read_labelled_images(source, split, height_width, preprocessing=None):
    """All images of a split, fitted to the model's size, in memory. Raises ImageError.

    source: a folder or a .zip; split: the folder inside it whose folders are the classes, or "" for source itself.
    """
    entries = _zip_entries(source) if zipfile.is_zipfile(source) else _folder_entries(source)
    chosen = {}
    for name, opener in entries:
        path = PurePosixPath(name)
        inside = path.relative_to(split).parts if split and path.is_relative_to(split) else path.parts
        if (not split or path.is_relative_to(split)) and len(inside) >= 2 and path.suffix.lower() in ENDINGS:
            chosen[name] = (inside[0], opener)
    classes = sorted({label for label, _ in chosen.values()})
    if len(classes) < 2:
        raise ImageError(f"{source} holds {len(chosen)} images in {len(classes)} classes under {split or 'its top'!r}: "
                         "expected <split>/<class>/<image> with at least two classes")
    number = {label: i for i, label in enumerate(classes)}
    names = sorted(chosen)
    images = np.empty((len(names), *height_width, 3), np.uint8)
    for i, name in enumerate(tqdm(names, desc=f"reading {split or source}", unit=" images", mininterval=1)):
        try:
            with Image.open(chosen[name][1]()) as picture:
                images[i] = fit(rgb(picture), height_width, preprocessing or Preprocessing())
        except (OSError, ValueError) as error:
            raise ImageError(f"{name} in {source} cannot be read: {error}") from None
    labels = np.array([number[chosen[name][0]] for name in names])
    return LabelledImages(images, labels, classes, names)


def _zip_entries(source):
    archive = zipfile.ZipFile(source)
    return [(i.filename, lambda i=i: io.BytesIO(archive.read(i))) for i in archive.infolist() if not i.is_dir()]


def _folder_entries(source):
    root = Path(source)
    if not root.is_dir():
        raise ImageError(f"{source} is neither a folder nor a zip file: give images as <split>/<class>/<image>")
    return [(p.relative_to(root).as_posix(), lambda p=p: p) for p in root.rglob("*") if p.is_file()]
