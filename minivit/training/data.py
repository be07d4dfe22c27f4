"""Labelled images, all in memory: from a folder, zip or tar in ImageFolder layout, or CIFAR-10's original binary files.

ImageFolder layout is <split>/<class>/<any name>.jpg; folders inside a class belong to it.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from ..engine import memory
from ..errors import ImageError, plain
from ..images.decoding import rgb, rgb_from_bytes
from ..images.preparation import Preprocessing, fit
from . import cifar_binary, members

TRAINING, MEASURING = ("train", "training"), ("test", "testing", "val", "valid", "validation")
FURTHER = ("unlabelled", "unlabeled", "extra")          # STL-10 and SVHN have such


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


def read_labelled_images(source, split, height_width, preprocessing=None, purpose=TRAINING):
    """All images of a split, fitted to the model's size, in memory. Raises ImageError.

    source: a folder, a .zip, a .tar (.tar.gz, .tar.xz), or CIFAR-10's binary version. split: the folder inside it whose
    folders are the classes, or "" for source itself. purpose: the splits of which one is proposed where source holds
    splits and none is named. The images are in the order of their names, the classes too.
    """
    source = Path(source)
    if not source.exists():
        raise ImageError(f"no such file or folder: {source}")
    if not source.is_dir() and not source.is_file():
        raise ImageError(f"{source} is no plain file but a pipe, socket or device: "
                         "give a folder, .zip or .tar of images")
    preprocessing = preprocessing or Preprocessing()
    if cifar_binary.recognises(source):
        pixels, labels, classes, names = cifar_binary.read(source, split)
        return LabelledImages(_fitted(pixels, names, source, height_width, preprocessing), labels, classes, names)
    openers = members.openers(source, split)
    labels = _labels(openers, source, split, purpose)                            # {name: class}
    classes, names = sorted(set(labels.values())), sorted(labels)
    images = _fitted((_decoded(openers[name], name, source) for name in names), names, source, height_width,
                     preprocessing)
    return LabelledImages(images, np.array([classes.index(labels[name]) for name in names]), classes, names)


def test_part(source):
    """The split to measure on where none is named: "test" or "testing", as the source has it, or "" for all of it."""
    source = Path(source)
    if cifar_binary.recognises(source):
        return "test"
    if source.is_dir():
        tops = {path.name for path in source.iterdir() if path.is_dir()}
    else:
        inside = (PurePosixPath(name).parts for name in members.names_in(source))
        tops = {parts[0] for parts in inside if len(parts) > 1}
    tops = {top for top in tops if not top.startswith((".", "__MACOSX"))}
    return next((name for name in sorted(tops) if name.lower() in ("test", "testing") and _are_splits(tops)), "")


def _are_splits(folders):
    """Whether folders of these names are the splits of a data set; beside one of another name they may be classes."""
    return {name.lower() for name in folders} <= {*TRAINING, *MEASURING, *FURTHER}


def _fitted(pictures, names, source, height_width, preprocessing):
    """Pictures as uint8 (n, H, W, 3)."""
    memory.check_fits(len(names) * height_width[0] * height_width[1] * 3, f"{len(names):,} images")
    images = np.empty((len(names), *height_width, 3), np.uint8)
    for i, picture in enumerate(tqdm(pictures, total=len(names), desc=f"reading {plain(source.name)}", unit=" images",
                                     mininterval=1)):
        try:
            images[i] = fit(rgb(picture), height_width, preprocessing)
        except ImageError as error:
            raise ImageError(f"{names[i]} in {source}: {error}") from None
    return images


def _decoded(opener, name, source):
    try:
        return rgb_from_bytes(opener(), f"{name} in {source}")
    except ImageError:
        raise
    except Exception as error:                      # zipfile's and zlib's own errors, wrong passwords, lost files
        raise ImageError(f"{name} in {source} cannot be read: {error}") from None


def _labels(names, source, split, purpose):
    """{name: class} of the images of a split. Raises ImageError where there are not two classes."""
    labels = {name: label for name in names if (label := members.label_of(name, split)) is not None}
    classes = sorted(set(labels.values()))
    if len(classes) < 2:
        tops = sorted({PurePosixPath(name).parts[0] for name in names})
        place = f"under {split!r}" if split else "at its top"
        raise ImageError(f"{source} has {len(labels)} images in {len(classes)} classes {place}: "
                         "expected <split>/<class>/<image> with at least two classes; "
                         f"it holds {', '.join(tops[:5]) or 'nothing'}{' …' if len(tops) > 5 else ''}")
    if not split and _are_splits(classes):
        fitting = next((name for wanted in purpose for name in classes if name.lower() == wanted), classes[0])
        raise ImageError(f"the folders in {source} are splits, not classes: {', '.join(classes)}; "
                         f"name one, such as --split {fitting}")
    return labels
