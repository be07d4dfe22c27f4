"""What a file is, is told by its content: every length of header, archives of other kinds, nested state dicts."""

import io
import json
import os
import struct
import sys
import zipfile

import checkpoint_files
import numpy as np
import pytest
from checkpoint_files import CONFIG, native_metadata, small_model
from peaked import images, relative_error
from safetensors.numpy import save_file

import minivit
from minivit.checkpoints import zip_file


def safetensors_bytes(tensors, metadata, filling):
    """A .safetensors file, written here: its header is filled up with spaces, which JSON allows."""
    header, payload = {"__metadata__": metadata}, b""
    for name, array in tensors.items():
        start, payload = len(payload), payload + array.tobytes()
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [start, len(payload)]}
    text = json.dumps(header).encode() + b" " * filling
    return struct.pack("<Q", len(text)) + text + payload


def test_headers_of_every_length_come_back_whole(tmp_path, monkeypatch):
    """A length's first byte is any of 256, a pickle's and a zip's among them; torch is hidden for every other one."""
    model = small_model(layer_norm_eps=1e-3, gelu="tanh")
    tensors, seen = checkpoint_files.timm(model), set()
    for filling in range(256):
        content = safetensors_bytes(tensors, native_metadata(model), filling)
        seen.add(content[0])
        (tmp_path / "a.safetensors").write_bytes(content)
        monkeypatch.setitem(sys.modules, "torch", None) if filling % 2 else monkeypatch.undo()
        loaded = minivit.load(tmp_path / "a.safetensors", dtype="float64")
        assert (loaded.config, loaded.labels, loaded.origin.form) == (model.config, ["a", "b", "c"], "minivit")
    assert seen == set(range(256))
    assert relative_error(loaded(images(CONFIG)), model(images(CONFIG))) <= 1e-12


def test_files_that_are_saved_come_back_whole_whatever_their_header(tmp_path):
    """Our own files: headers are filled to a multiple of 8, and the name makes them longer."""
    model, seen = small_model(layer_norm_eps=1e-3, gelu="tanh"), set()
    model.labels = ["a", "b", "c"]
    for length in range(8, 264, 8):
        model.name = "x" * length
        minivit.save(model, tmp_path / "a.safetensors")
        seen.add((tmp_path / "a.safetensors").read_bytes()[0])
        loaded = minivit.load(tmp_path / "a.safetensors")
        assert (loaded.config, loaded.labels, loaded.name) == (model.config, model.labels, model.name)
    assert seen == set(range(0, 256, 8))


@pytest.mark.parametrize("content, said", [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
    (b"<!DOCTYPE html><html>", "a web page"), (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
    (b"\x93NUMPY\x01\x00" + bytes(60), "numpy.savez"), (b"\x1f\x8b" + bytes(60), "unpack it first"),
    (b"notes", "is no .safetensors, .npz or .pth file")])
def test_files_of_other_kinds_are_named(content, said, tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(minivit.CheckpointError, match=said):
        minivit.load(tmp_path / "weights.safetensors")


def nested(tensors, path):
    for key in reversed(path):
        tensors = {key: tensors}
    return tensors


@pytest.mark.parametrize("path", [(), ("state_dict",), ("model", "state_dict"), ("target_encoder",), ("a", "b", "c")])
@pytest.mark.parametrize("form", ["timm", "google", "hugging_face", "torchvision"])
def test_state_dicts_at_hand(form, path, capsys):
    model = small_model(gelu="tanh" if form == "google" else "erf",
                        layer_norm_eps=1e-12 if form == "hugging_face" else 1e-6)
    tensors = getattr(checkpoint_files, form)(model)
    content = nested(tensors, path) | ({"epoch": 3, "optimizer": {"state": {0: {"step": 1}}}} if path else {})
    loaded = minivit.load(content, num_heads=2, dtype="float64")
    assert relative_error(loaded(images(CONFIG)), model(images(CONFIG))) <= 1e-12
    assert ("left out epoch, optimizer" in capsys.readouterr().err) == bool(path)
    next(iter(tensors.values()))[...] = np.nan                          # the weights were copied
    assert np.isfinite(loaded(images(CONFIG))).all()


def test_a_tree_of_flax_at_hand():
    model, tree = small_model(gelu="tanh"), {}
    for name, array in checkpoint_files.google(model).items():
        *path, last = ("params/" + name).split("/")
        branch = tree
        for key in path:
            branch = branch.setdefault(key, {})
        branch[last] = array.astype("float64")
    loaded = minivit.load(tree)
    assert loaded.dtype == np.float64
    assert relative_error(loaded(images(CONFIG)), model(images(CONFIG))) <= 1e-12


def test_where_several_state_dicts_fit_key_says_which():
    tensors = checkpoint_files.timm(small_model())
    content = {"student": tensors, "teacher": {name: 2 * array for name, array in tensors.items()}}
    with pytest.raises(minivit.CheckpointError, match="under each of 'student', 'teacher': say which with key="):
        minivit.load(content, num_heads=2)
    with pytest.raises(minivit.CheckpointError, match="under key='ema'; it has one under 'student'; 'teacher'"):
        minivit.load(content, num_heads=2, key="ema")
    student, teacher = (minivit.load(content, num_heads=2, key=key) for key in ("student", "teacher"))
    assert np.array_equal(2 * student.params["norm"]["weight"], teacher.params["norm"]["weight"])
    assert set(teacher.origin.ignored) == {"student"}


def test_a_key_into_a_file_without_dicts(tmp_path):
    path = checkpoint_files.write("timm", checkpoint_files.timm(small_model()), tmp_path)
    with pytest.raises(minivit.CheckpointError, match="holds no dicts, and so nothing under key='model': leave it out"):
        minivit.load(path, num_heads=2, key="model")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {1: np.zeros(2)}, {"a": {"b": "c"}}, {"blocks.0.norm1.bias": 3}])
def test_dicts_of_something_else(content):
    with pytest.raises(minivit.CheckpointError):
        minivit.load(content)


def test_a_device_is_no_file_of_weights():
    with pytest.raises(minivit.CheckpointError, match="is no plain file but a pipe, socket or device"):
        minivit.load(os.devnull)


def test_a_directory_of_which_a_zip64_record_tells(tmp_path):
    """The record before it says that the directory is empty; zipfile believes the zip64 one."""
    path = tmp_path / "many.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(5000):
            archive.writestr(f"{i:01000}.npy", b"")
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    directory, offset = struct.unpack_from("<II", content, end + 12)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 5000, 5000, directory, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    path.write_bytes(content[:end] + record + locator + content[end:end + 12] + bytes(10))
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == 5000
    with pytest.raises(minivit.CheckpointError, match="has a zip directory of 5,"):
        zip_file.open_zip(path)


def test_two_arrays_of_one_name_are_refused(tmp_path):
    np.savez(tmp_path / "twice.npz", **checkpoint_files.google(small_model()))
    with zipfile.ZipFile(tmp_path / "twice.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("cls.npy", archive.read("cls.npy"))
    with pytest.raises(minivit.CheckpointError, match="holds two arrays of one name"):
        minivit.load(tmp_path / "twice.npz")


def test_an_index_and_its_files_name_the_same_tensors(tmp_path):
    model = small_model()
    tensors = checkpoint_files.hugging_face(model)
    names = sorted(tensors)
    places = {name: f"{i % 2}.safetensors" for i, name in enumerate(names)}
    settings = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 12, "image_size": 12, "patch_size": 4, "layer_norm_eps": 1e-6}
    (tmp_path / "config.json").write_text(json.dumps(settings), "utf-8")
    for file in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == file}, tmp_path / file)

    def loaded(places):
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), "utf-8")
        return minivit.load(tmp_path, dtype="float64")

    assert relative_error(loaded(places)(images(CONFIG)), model(images(CONFIG))) < 1e-12
    for wrong in ({name: places[name] for name in names[1:]}, {**places, "more": "0.safetensors"},
                  {**places, names[0]: "1.safetensors"}):
        with pytest.raises(minivit.CheckpointError, match="index and files disagree about"):
            loaded(wrong)


def test_an_array_of_more_numbers_than_its_member_holds(tmp_path):
    tensors = checkpoint_files.google(small_model())
    kernel = tensors.pop("head/kernel")
    np.savez(tmp_path / "short.npz", **tensors)
    content = io.BytesIO()
    np.save(content, kernel)
    with zipfile.ZipFile(tmp_path / "short.npz", "a") as archive:
        archive.writestr("head/kernel.npy", content.getvalue()[:-4])
    with pytest.raises(minivit.CheckpointError, match=r"has 92 bytes of numbers, which shape \(8, 3\) of float32"):
        minivit.load(tmp_path / "short.npz")
