"""Labelled images from a folder, a zip and CIFAR-10's binary files; and what is said of those that do not fit."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from platforms import needs_links
from toy_data import colours, write_folder

import minivit
from minivit.engine import memory
from minivit.images import files
from minivit.training import data as training_data
from minivit.training.cifar_binary import CLASSES
from minivit.training.data import read_labelled_images

PLAIN = minivit.Preprocessing(crop_fraction=1.0)


def read(source, split="", size=(8, 8)):
    return read_labelled_images(source, split, size, PLAIN)


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    write_folder(colours(12), folder / "train")
    write_folder(colours(6, seed=1), folder / "test")
    (folder / "README.txt").write_text("not an image", "utf-8")
    (folder / "train" / "red" / "notes.txt").write_text("not an image", "utf-8")
    (folder / "train" / "red" / "._0001.png").write_text("what a Mac leaves behind", "utf-8")
    return folder


def test_a_folder(folder):
    toy, data = colours(12), read(folder, "train")
    assert data.classes == ["blue", "red"] and len(data) == 12
    assert data.names == sorted(f"train/{toy.classes[k]}/{name}" for k, name in zip(toy.labels, toy.names))
    for image, label, name in zip(data.images, data.labels, data.names):
        place = toy.names.index(Path(name).name)
        np.testing.assert_array_equal(image, toy.images[place])
        assert label == toy.labels[place]
    assert len(read(folder, "test")) == 6
    np.testing.assert_array_equal(read(folder / "train").images, data.images)


def test_a_zip_gives_the_same_data(folder, tmp_path):
    one, other = read(folder, "train"), read(zipped(folder, tmp_path / "data.zip"), "train")
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.names == other.names and one.classes == other.classes


@pytest.mark.parametrize("packing", ["", "gz", "xz"])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_tar_gives_the_same_data(folder, tmp_path, packing, prefix):
    path = tmp_path / f"data.tar.{packing}".rstrip(".")
    with tarfile.open(path, f"w:{packing}") as archive:
        archive.add(folder, prefix)
    one, other = read(folder, "train"), read(path, "train")
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.names == other.names and one.classes == other.classes
    if packing:
        path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
        assert "not a whole .tar" in refused(path, "train")


# Links.

@needs_links
@pytest.mark.parametrize("split", ["train", ""])
def test_links_to_folders_and_images_are_followed(folder, tmp_path, split):
    """A class that is a link, an image that is one, and a split: as if all stood there itself."""
    source = folder if split else folder / "train"
    write_folder(colours(1, seed=2), tmp_path / "store")
    store = next((tmp_path / "store").iterdir())
    before = read(source, split)
    (folder / "train" / "fox").symlink_to(store)
    (folder / "train" / "red" / "9999.png").symlink_to(store / "0000.png")
    after = read(source, split)
    added = [f"{split}/{name}".lstrip("/") for name in ("fox/0000.png", "red/9999.png")]
    assert after.classes == ["blue", "fox", "red"] and after.names == sorted([*before.names, *added])
    kept = [after.names.index(name) for name in before.names]
    np.testing.assert_array_equal(after.images[kept], before.images)
    for name in added:
        np.testing.assert_array_equal(after.images[after.names.index(name)], colours(1, seed=2).images[0])
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "train").symlink_to(folder / "train")
    assert read(tmp_path / "linked", "train").names == read(folder, "train").names


@needs_links
@pytest.mark.parametrize("target", [".", "train", "train/red"])
def test_a_link_back_to_a_folder_above_is_not_followed(folder, target):
    before = read(folder, "train").names
    (folder / "train" / "red" / "again").symlink_to(folder / target)
    assert read(folder, "train").names == before


@needs_links
@pytest.mark.parametrize("name", ["train/red/x.png", "train/fox", "train/red/more"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_told_in_its_split_alone(folder, name, target):
    (folder / name).symlink_to(folder / name if target == "itself" else folder / "nowhere")
    assert f"{name} in {folder} is a link that leads nowhere: mend or remove it" == refused(folder, "train")
    assert len(read(folder, "test")) == 6


@needs_links
def test_what_is_not_in_the_split_is_not_looked_into(folder, tmp_path):
    """A link out of the way may lead to a whole disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "gone").symlink_to(tmp_path / "nowhere")
    before = read(folder, "train").names
    for name in ("disk", "train/.hidden"):
        (folder / name).symlink_to(tmp_path / "disk")
    assert read(folder, "train").names == before
    assert "it holds README.txt, disk, test, train" in refused(folder, "val")


def test_a_class_without_permission_is_told(folder, monkeypatch):
    def scandir(path, real=os.scandir):
        if Path(path).name == "red":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert refused(folder, "train") == f"the folder {folder / 'train' / 'red'} cannot be read: Permission denied"


def tarred(path, folder, *links, mode="w"):
    """A tar of a folder and of members that are links: (name, type, where it leads)."""
    with tarfile.open(path, mode) as archive:
        archive.add(folder, ".")
        for name, kind, target in links:
            about = tarfile.TarInfo(name)
            about.type, about.linkname = kind, target
            archive.addfile(about)
    return path


@pytest.mark.parametrize("kind, target", [
    (tarfile.LNKTYPE, "./train/blue/FIRST"), (tarfile.LNKTYPE, "test/blue/FIRST"),
    (tarfile.SYMTYPE, "../blue/FIRST"), (tarfile.SYMTYPE, "../../test/blue/FIRST"), (tarfile.SYMTYPE, "8888.png"),
])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_in_a_tar_are_the_files_that_they_lead_to(folder, tmp_path, kind, target, mode):
    part = "test" if "test" in target else "train"
    first = sorted((folder / part / "blue").iterdir())[0].name
    links = [("train/red/9999.png", kind, target.replace("FIRST", first))]
    if target == "8888.png":
        links.append(("./train/red/8888.png", tarfile.SYMTYPE, f"../blue/{first}"))
    data = read(tarred(tmp_path / "data.tar", folder, *links, mode=mode), "train")
    before = read(folder, "train")
    assert data.names == sorted([*before.names, *(str(Path(name).as_posix()) for name, _, _ in links)])
    with Image.open(folder / part / "blue" / first) as picture:
        for name, _, _ in links:
            np.testing.assert_array_equal(data.images[data.names.index(Path(name).as_posix())], np.asarray(picture))
    kept = [data.names.index(name) for name in before.names]
    np.testing.assert_array_equal(data.images[kept], before.images)


@pytest.mark.parametrize("name", ["train/red/9999.png", "train/fox", "train/red/more"])
@pytest.mark.parametrize("kind, target", [
    (tarfile.SYMTYPE, "OUTSIDE/secret.png"), (tarfile.LNKTYPE, "OUTSIDE/secret.png"),
    (tarfile.SYMTYPE, "../../../secret.png"), (tarfile.SYMTYPE, "nothing.png"), (tarfile.SYMTYPE, "."),
    (tarfile.SYMTYPE, "9999.png"),
])
def test_a_link_in_a_tar_never_leaves_it(folder, tmp_path, monkeypatch, name, kind, target):
    """Out of the archive, to nothing, to a folder, in a circle: refused, in the split that it stands in."""
    Image.fromarray(colours(1).images[0]).save(tmp_path / "secret.png")
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    path = tarred(tmp_path / "data.tar", folder, (name, kind, target.replace("OUTSIDE", str(tmp_path))))
    assert f"{name} in {path} is a link to no file in it: pack what it leads to" in refused(path, "train")
    assert len(read(path, "test")) == 6


def test_of_a_tar_the_splits_images_alone_are_in_memory(folder, tmp_path, monkeypatch):
    """Zeros that pack well, as what is no image, as another split's, and as what is hidden; none is held."""
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(folder, ".")
        for name in ("train/red/notes.md", "test/red/x.png", "train/red/.x.png", "x.png"):
            about = tarfile.TarInfo(name)
            about.size = 1_000_000
            archive.addfile(about, io.BytesIO(bytes(about.size)))
    taken = []
    monkeypatch.setattr(tarfile.ExFileObject, "read",
                        lambda file, *size: taken.append(content := io.BufferedReader.read(file, *size)) or content)
    assert len(read(tmp_path / "data.tar.gz", "train")) == 12
    assert len(taken) == 12 and max(map(len, taken)) < 10_000


def test_images_in_a_tar_that_are_too_large(folder, tmp_path, monkeypatch):
    path = tarred(tmp_path / "data.tar", folder)
    largest = max((folder / "train").rglob("*.png"), key=lambda file: file.stat().st_size)
    monkeypatch.setattr(files, "MOST_BYTES", largest.stat().st_size - 1)
    assert f"in {path} cannot be read: it has {largest.stat().st_size:,} bytes; an image has" in refused(path, "train")
    monkeypatch.undo()
    together = sum(file.stat().st_size for file in (folder / "train").rglob("0*.png"))
    monkeypatch.setattr(memory, "total", lambda: together - 1)
    with pytest.raises(MemoryError, match=r"the 12 image files in .*data.tar would take"):
        read(path, "train")
    monkeypatch.setattr(memory, "total", lambda: together)
    assert len(read(path, "train")) == 12


def test_images_are_fitted_to_the_models_size(folder):
    data = read(folder, "train", (12, 16))
    for i in (0, -1):
        with Image.open(folder / data.names[i]) as picture:
            expected = minivit.images.preparation.fit(picture, (12, 16), PLAIN)
        np.testing.assert_array_equal(data.images[i], np.asarray(expected))


def test_subset(folder):
    data = read(folder, "train")
    some = data.subset([3, 1])
    assert some.names == [data.names[3], data.names[1]] and some.classes == data.classes
    np.testing.assert_array_equal(some.images, data.images[[3, 1]])
    np.testing.assert_array_equal(some.labels, data.labels[[3, 1]])


def records(labels, images):
    """CIFAR-10's records, written out byte by byte: label, all reds, all greens, all blues."""
    content = bytearray()
    for label, image in zip(labels, images):
        content.append(label)
        for channel in range(3):
            for row in range(32):
                content += bytes(image[row, :, channel].tolist())
    return bytes(content)


@pytest.fixture
def cifar(tmp_path):
    """(folder, images, labels) of a tiny CIFAR-10 in its binary version."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (14, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, 14)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(records(labels[2 * i - 2:2 * i], images[2 * i - 2:2 * i]))
    (folder / "test_batch.bin").write_bytes(records(labels[10:], images[10:]))
    return folder, images, labels


def test_cifar_binary(cifar, tmp_path):
    folder, images, labels = cifar
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    for source in (folder, path):
        for split, part in (("train", slice(0, 10)), ("test", slice(10, 14))):
            data = read(source, split, (32, 32))
            np.testing.assert_array_equal(data.images, images[part])
            np.testing.assert_array_equal(data.labels, labels[part])
            assert data.classes == CLASSES and len(data.names) == len(data)
    assert read(folder, "train", (32, 32)).names[2] == "data_batch_2.bin/00000"


def refused(source, split=""):
    with pytest.raises(minivit.ImageError) as caught:
        read(source, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_cifar_files(cifar, tmp_path):
    folder, images, _ = cifar
    assert "splits train and test, found ''" in refused(folder)
    (folder / "test_batch.bin").write_bytes(records([3], images)[:-1])
    assert "test_batch.bin" in refused(folder, "test") and "3,072 bytes" in refused(folder, "test")
    (folder / "test_batch.bin").write_bytes(b"")
    assert "0 bytes" in refused(folder, "test")
    (folder / "test_batch.bin").write_bytes(records([10], images))
    assert "has the label 10: expected 0 to 9" in refused(folder, "test")
    (folder / "test_batch.bin").unlink()
    assert "holds none of test_batch.bin" in refused(folder, "test")
    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    path.write_bytes(path.read_bytes()[:-3000])
    assert "not a whole .tar.gz" in refused(path, "train")


@pytest.mark.parametrize("as_zip", [False, True])
def test_a_corrupt_image_is_named(folder, tmp_path, as_zip):
    file = next((folder / "train" / "red").glob("0*.png"))
    file.write_bytes(file.read_bytes()[:60])
    source = zipped(folder, tmp_path / "data.zip") if as_zip else folder
    message = refused(source, "train")
    assert f"train/red/{file.name} in {source}" in message and "damaged or cut short" in message


def test_a_damaged_zip(folder, tmp_path):
    path = zipped(folder, tmp_path / "data.zip")
    content = bytearray(path.read_bytes())
    start = content.index(b"\x89PNG")
    content[start + 50] ^= 0xFF                                            # the member's checksum no longer fits
    path.write_bytes(content)
    assert ".png in" in refused(path, "train")
    path.write_bytes(bytes(content)[:200])
    assert "neither a folder nor a .zip or .tar" in refused(path, "train")


def test_sources_without_two_classes(folder, tmp_path):
    assert "no such file or folder" in refused(tmp_path / "nothing")
    assert "neither a folder nor a .zip or .tar" in refused(folder / "README.txt")
    assert "under 'val'" in refused(folder, "val") and "it holds README.txt, test, train" in refused(folder, "val")
    assert "are splits, not classes: test, train; name one, such as --split train" in refused(folder)
    (tmp_path / "empty").mkdir()
    assert "it holds nothing" in refused(tmp_path / "empty")
    write_folder(colours(12).subset([0, 0]), tmp_path / "one" / "train")
    assert "in 1 classes" in refused(tmp_path / "one", "train")


@pytest.mark.parametrize("folders, proposed", [
    (("Test", "Train"), "Train"), (("train", "unlabelled", "val"), "train"), (("TEST", "Valid"), "TEST"),
    (("Testing", "Training", "extra"), "Training")])
def test_folders_named_as_splits_are_no_classes(tmp_path, folders, proposed):
    """Else a run would learn to tell training images from test images, with both among its images."""
    for name in folders:
        write_folder(colours(12), tmp_path / name)
    said = f"are splits, not classes: {', '.join(folders)}; name one, such as --split {proposed}"
    assert said in refused(tmp_path)


@pytest.mark.parametrize("classes", [("car", "plane", "train"), ("essay", "test"), ("Red", "blue")])
def test_a_class_may_have_the_name_of_a_split(tmp_path, classes):
    for name in classes:
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    assert read(tmp_path).classes == list(classes)


@pytest.mark.parametrize("folders, part", [(("Train", "Test"), "Test"), (("test", "train", "unlabelled"), "test"),
                                           (("test", "essay"), ""), (("testing", "val"), "testing")])
def test_the_part_to_measure_on(tmp_path, folders, part):
    for name in folders:
        write_folder(colours(12), tmp_path / name)
    assert training_data.test_part(tmp_path) == part


@pytest.mark.parametrize("as_zip", [False, True])
def test_an_image_that_is_a_mere_line_is_named(folder, tmp_path, as_zip):
    file = next((folder / "train" / "red").glob("0*.png"))
    Image.new("RGB", (1, 3000)).save(file)
    source = zipped(folder, tmp_path / "data.zip") if as_zip else folder
    message = refused(source, "train")
    assert f"train/red/{file.name} in {source}: an image of 1 x 3,000 pixels is too narrow" in message


def test_files_and_members_too_large_for_an_image(folder, tmp_path):
    file = next((folder / "train" / "red").glob("0*.png"))
    with open(file, "ab") as handle:
        handle.truncate(1 << 40)
    assert f"{file.name} in {folder} cannot be read: it has 1,099,511,627,776 bytes" in refused(folder, "train")
    file.unlink()
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("blue/0.png", b"x")
        with archive.open("red/0.png", "w") as member:
            for _ in range(201):
                member.write(bytes(1_000_000))
    assert "red/0.png in" in (message := refused(tmp_path / "bomb.zip")) or "blue/0.png" in message


def test_an_archive_far_larger_than_cifar(tmp_path):
    class Zeros:
        def read(self, size):
            return bytes(size)

    path = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        about = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        about.size = 401_000_000
        archive.addfile(about, Zeros())
    assert "holds more than 400,000,000 bytes" in refused(path, "test")


@pytest.mark.parametrize("as_zip", [False, True])
def test_the_split_is_at_the_top(folder, tmp_path, as_zip):
    """A folder of the split's name further down is not the split."""
    before = read(folder, "train")
    write_folder(colours(5, seed=3), folder / "old" / "train")
    source = zipped(folder, tmp_path / "data.zip") if as_zip else folder
    assert read(source, "train").names == before.names
    assert read(source, "old/train").classes == ["blue", "red"] and len(read(source, "old/train")) == 5


def test_folders_inside_a_class_belong_to_it(folder):
    inner = folder / "train" / "blue" / "test" / "red"
    inner.mkdir(parents=True)
    Image.fromarray(colours(1).images[0]).save(inner / "inside.png")
    data = read(folder, "train")
    assert len(data) == 13 and data.classes == ["blue", "red"]
    assert data.labels[data.names.index("train/blue/test/red/inside.png")] == 0


@pytest.mark.parametrize("ending", [".JPG", ".Jpeg", ".PNG", ".png", ".WEBP", ".bmp", ".GIF", ".TIF", ".tiff", ".ppm"])
def test_endings_in_any_case(folder, ending):
    path = folder / "train" / "red" / f"more{ending}"
    Image.fromarray(colours(1).images[0]).save(path)
    data = read(folder, "train")
    assert len(data) == 13 and f"train/red/more{ending}" in data.names


def test_hidden_files_and_folders_are_left_out(folder):
    for place in (".thumbnails/red", "red/.cache", "__MACOSX/red"):
        (folder / "train" / place).mkdir(parents=True)
        Image.fromarray(colours(1).images[0]).save(folder / "train" / place / "x.png")
    assert len(read(folder, "train")) == 12 and read(folder, "train").classes == ["blue", "red"]


def test_images_keep_their_labels_in_any_order_of_files(tmp_path):
    """Class and pixels go together: each class has a level of its own."""
    for level, name in ((10, "cat"), (20, "ant"), (30, "bee")):
        for i in range(3):
            path = tmp_path / "train" / name / f"{3 - i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)
    data = read(tmp_path, "train")
    assert data.classes == ["ant", "bee", "cat"]
    np.testing.assert_array_equal(data.images[:, 0, 0, 0], np.array([20, 30, 10])[data.labels])
