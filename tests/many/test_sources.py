"""What a source names: folders, zips, lists and patterns, and what each is refused for."""

import os
import zipfile
from itertools import islice

import pytest
from platforms import needs_fork

import minivit
from minivit.many import sources
from minivit.many.sources import Place, places


def tree(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(source):
    return [place.name for place in islice(places(source), 100)]


def test_a_folder_with_its_folders_in_the_order_of_the_names(tmp_path):
    tree(tmp_path, "b.jpg", "a/2.PNG", "a/10.png", "a/b/c.webp", "notes.txt", ".hidden.jpg", ".git/x.jpg",
         "__MACOSX/y.jpg")
    assert names(tmp_path) == [str(tmp_path / name) for name in ("a/10.png", "a/2.PNG", "a/b/c.webp", "b.jpg")]


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_links_are_followed_once_but_not_in_circles(tmp_path):
    tree(tmp_path, "in/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self.jpg").symlink_to(tmp_path / "in" / "self.jpg")
    found = [name.removeprefix(str(tmp_path / "in")) for name in names(tmp_path / "in")]
    assert found == [os.path.join(os.sep, *parts) for parts in (("a.jpg",), ("other", "b.jpg"), ("self.jpg",))]
    with pytest.raises(minivit.ImageError, match=r"self\.jpg cannot be read: Too many levels of symbolic links"):
        Place(str(tmp_path / "in" / "self.jpg")).read()


def test_a_zip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("b/2.jpg", "b/1.jpg", "read.me", "__MACOSX/b/1.jpg", "b/.x.png"):
            archive.writestr(name, name)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("b/2.jpg", "again")
    assert names(path) == [f"{path}/b/1.jpg", f"{path}/b/2.jpg"]
    assert [place.read() for place in places(path)] == [b"b/1.jpg", b"again"]


def test_zips_in_a_list(tmp_path):
    """A file that is only named like one is a row that says so, as any other that is no image."""
    for name in ("a.zip", "b.ZIP"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("1.jpg", name)
    (tmp_path / "c.zip").write_bytes(b"no zip")
    a, b, c, photo = (str(tmp_path / name) for name in ("a.zip", "b.ZIP", "c.zip", "photo.jpg"))
    assert names([a, photo, b, c]) == [f"{a}/1.jpg", photo, f"{b}/1.jpg", c]
    (tmp_path / "list.txt").write_text("b.ZIP\na.zip\n", "utf-8")
    assert [place.read() for place in places(tmp_path / "list.txt")] == [b"b.ZIP", b"a.zip"]


@needs_fork
def test_a_fork_opens_a_zip_anew(tmp_path):
    """Two processes that read by one open file move each other's place in it."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.jpg", b"x")
    next(places(tmp_path / "a.zip")).read()
    assert sources._archive.cache_info().currsize
    child = os.fork()
    if child == 0:
        os._exit(sources._archive.cache_info().currsize)
    assert os.waitpid(child, 0)[1] == 0


def test_a_list_a_pattern_and_one_file(tmp_path):
    tree(tmp_path, "a.jpg", "b/c.jpg", "b/d.dat")
    (tmp_path / "list.txt").write_text(f"b/d.dat\n\n{tmp_path / 'a.jpg'}\nmissing.jpg\n", "utf-8")
    assert names(tmp_path / "list.txt") == [str(tmp_path / name) for name in ("b/d.dat", "a.jpg", "missing.jpg")]
    assert names(str(tmp_path / "**" / "*.jpg")) == [str(tmp_path / "a.jpg"), str(tmp_path / "b" / "c.jpg")]
    assert names(tmp_path / "a.jpg") == [str(tmp_path / "a.jpg")]
    assert names([tmp_path / "b" / "d.dat", "x"]) == [str(tmp_path / "b" / "d.dat"), "x"]


def test_folders_in_a_list_stand_for_their_images(tmp_path):
    tree(tmp_path, "a.jpg", "b/c.jpg", "b/d.dat")
    expected = [str(tmp_path / "b" / "c.jpg"), str(tmp_path / "a.jpg"), "-"]
    found = list(places([tmp_path / "b", str(tmp_path / "a.jpg"), Place("-", content=b"y")]))
    assert [place.name for place in found] == expected and found[-1].read() == b"y"
    (tmp_path / "list.txt").write_text("b\na.jpg\n", "utf-8-sig")          # as Windows' Notepad begins a text
    assert names(tmp_path / "list.txt") == expected[:2]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_a_pipe_is_refused_unopened(tmp_path, monkeypatch):
    """Who opens it waits until somebody writes."""
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.setattr(zipfile, "is_zipfile", lambda path: pytest.fail("it was opened"))
    with pytest.raises(minivit.ImageError, match=r"pipe\.jpg is no plain file, folder or zip"):
        list(places(tmp_path / "pipe.jpg"))


def test_a_source_is_not_listed_before_it_is_read():
    def endless():
        while True:
            yield "a.jpg"
    found = places(endless())
    assert [next(found).name for _ in range(3)] == ["a.jpg"] * 3


@pytest.mark.parametrize("make, message", [
    (lambda folder: folder, "holds no image: expected files that end in .bmp, .gif"),
    (lambda folder: folder / "missing", "no such file or folder"),
    (lambda folder: str(folder / "*.jpg"), r"\*\.jpg holds no image"),
    (lambda folder: [], "the list holds no image"),
    (lambda folder: [b"x"], "a list of images holds their paths, found bytes"),
    (lambda folder: "", "the source is empty"),
], ids=["empty folder", "missing", "pattern", "empty list", "bytes", "no name"])
def test_no_image_is_one_line_and_told_at_once(tmp_path, make, message):
    with pytest.raises(minivit.ImageError, match=message):
        places(make(tmp_path))


def test_a_damaged_zip_and_a_list_that_is_no_text(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.jpg", b"x" * 1000)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[40] ^= 1                                                     # a byte of the member: its sum is wrong
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(minivit.ImageError, match=r"a\.zip/1\.jpg cannot be read: Bad CRC-32"):
        next(places(tmp_path / "a.zip")).read()
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(minivit.ImageError, match="no text in UTF-8"):
        list(places(tmp_path / "list.txt"))
