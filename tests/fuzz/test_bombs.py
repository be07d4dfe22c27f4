"""Hostile files, each in a process of its own that may use 5 seconds of CPU and 500 MB: refused, and nothing is run."""

import io
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from checkpoint_files import FORMATS, google, small_model, timm, write
from platforms import needs_resource

import minivit

pytestmark = needs_resource
MEGABYTES = 500
SECONDS = 5

LOAD = f"""
import pathlib, resource, sys

def peak_megabytes():
    status = pathlib.Path("/proc/self/status")              # getrusage would begin with the parent's peak
    if not status.exists():
        unit = 1 if sys.platform == "darwin" else 1024      # macOS counts bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024 ** 2
    return int(status.read_text("utf-8").split("VmHWM:")[1].split()[0]) / 1024

resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
import minivit
try:
    minivit.load(sys.argv[1], num_heads=2)
    print("loaded")
except minivit.CheckpointError as error:
    print("refused:", error)
used = peak_megabytes()
print("MB", used)
sys.exit(used > {MEGABYTES})
"""


def refused(path):
    """The message with which a fresh process refuses the file, within its limits."""
    before = sorted(path.parent.iterdir())
    result = subprocess.run([sys.executable, "-c", LOAD, str(path)], capture_output=True, encoding="utf-8", timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("refused:"), result.stdout
    assert sorted(path.parent.iterdir()) == before
    return result.stdout


def npy(array_header, payload=b""):
    """A .npy file with any text as its header."""
    text = array_header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + payload


def zipped(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def google_members():
    members = {}
    for name, array in google(small_model()).items():
        file = io.BytesIO()
        np.save(file, array)
        members[name + ".npy"] = file.getvalue()
    return members


def test_a_zip_bomb(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in google_members().items():
            if name != "head/kernel.npy":
                archive.writestr(name, content)
        with archive.open("head/kernel.npy", "w", force_zip64=True) as member:
            member.write(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (8, 33554432)}"))
            for _ in range(1024):
                member.write(bytes(1 << 20))
    assert (tmp_path / "bomb.npz").stat().st_size < 10 << 20
    assert "zip bomb" in refused(tmp_path / "bomb.npz")


def test_a_zip_bomb_that_lies_about_its_size(tmp_path):
    members = {**google_members(), "head/kernel.npy": bytes(100 << 20)}
    path = zipped(tmp_path / "bomb.npz", members, zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 100 << 20), struct.pack("<I", 200)))
    refused(path)


def test_a_zip_of_very_many_members(tmp_path):
    path = zipped(tmp_path / "many.npz", {f"{i:01000}.npy": b"" for i in range(5000)})
    assert "members" in refused(path)


@pytest.mark.parametrize("header", [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 1000000000000)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-8, -3)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 3000 + ")" * 3000 + "}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 3)" + " " * 60_000 + "}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 9**9**9)}",
    "__import__('os').mkdir('ran')"], ids=["huge", "negative", "nested", "long", "power", "code"])
def test_npy_headers(header, tmp_path):
    members = {**google_members(), "head/kernel.npy": npy(header, bytes(96))}
    refused(zipped(tmp_path / "odd.npz", members))
    assert not (tmp_path / "ran").exists()


class RunsCode:
    """A pickle of it makes a folder when it is read."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        import os
        return os.mkdir, (self.folder,)


def test_pickles_inside_an_npz(tmp_path):
    (tmp_path / "files").mkdir()
    tensors = google(small_model())
    tensors["head/bias"] = np.array([RunsCode(tmp_path / "ran")] * 3, dtype=object)
    np.savez(tmp_path / "files" / "pickle.npz", **tensors)
    assert "pickled" in refused(tmp_path / "files" / "pickle.npz")
    bare = pickle.dumps(RunsCode(tmp_path / "ran"))
    zipped(tmp_path / "files" / "more.npz", {**google_members(), "head/bias.npy": bare})
    refused(tmp_path / "files" / "more.npz")
    assert not (tmp_path / "ran").exists()


def test_encrypted_and_oddly_packed_members(tmp_path):
    refused(zipped(tmp_path / "odd.npz", google_members(), zipfile.ZIP_BZIP2))


def safetensors(path, header, payload=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + payload)
    return path


@pytest.mark.parametrize("header", [
    {"a": {"dtype": "F32", "shape": [10 ** 12], "data_offsets": [0, 4 * 10 ** 12]}},
    {"a": {"dtype": "F32", "shape": [2 ** 62, 4], "data_offsets": [0, 0]}},
    {"patch_embed.proj.bias": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}},
    {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [2],
                                                                       "data_offsets": [4, 12]}},
    b"[" * 1_000_000, b'{"a":' * 500_000, b"{" + b" " * (6 << 20) + b"}"],
    ids=["huge", "overflow", "empty tensor", "overlap", "nested lists", "nested objects", "long"])
def test_safetensors_headers(header, tmp_path):
    refused(safetensors(tmp_path / "odd.safetensors", header, bytes(12)))


def test_a_million_layers_in_names(tmp_path):
    tensors = {name.replace("blocks.1.", "blocks.999999999."): array for name, array in timm(small_model()).items()}
    assert "blocks.999999999" in refused(write("timm", tensors, tmp_path))


def test_an_index_that_leaves_its_folder(tmp_path):
    write("timm", FORMATS["hugging_face"](small_model()), tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text("{}", "utf-8")
    index = {"weight_map": {"a": "../weights.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    assert "not in the folder" in refused(folder)


def test_a_zip_behind_something_else(tmp_path):
    """A file that begins as a zip does, then 70 kB of anything, then a whole .npz of weights."""
    whole = zipped(tmp_path / "whole.npz", google_members()).read_bytes()
    path = tmp_path / "behind.npz"
    path.write_bytes(b"PK\x03\x04" + bytes(70_000) + whole)
    assert "begins with 70,004 bytes that are no part of its zip" in refused(path)
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(70_000) + whole)
    assert "is no .safetensors, .npz or .pth file" in refused(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files")
def test_pipes_sockets_and_devices(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "pipe.npz", tmp_path / "socket"):
            assert "is no plain file but a pipe, socket or device" in refused(path)
    with pytest.raises(minivit.CheckpointError, match="is no plain file"):
        minivit.load("/dev/zero")


@pytest.mark.parametrize("name, said", [("", "an empty name is no model's"), ("x" * 5000, "File name too long"),
                                        ("a\nb\x1b[2J", r"no file a\\nb\\x1b\[2J")])
def test_odd_names(name, said):
    with pytest.raises(minivit.CheckpointError, match=said) as caught:
        minivit.load(name)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400
