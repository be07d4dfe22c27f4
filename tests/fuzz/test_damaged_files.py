"""300 damaged files a format, seeded: damage is told as a CheckpointError, or, in the payload alone, may go unseen."""

import gc
import os
import tempfile
import warnings
from pathlib import Path

import damage
import numpy as np
import pytest
from checkpoint_files import CONFIG, FORMATS, WRAPPED, native_metadata, small_model, write

import minivit

EACH = 50


@pytest.fixture(scope="module", params=FORMATS | WRAPPED)
def format_name(request):
    return request.param


@pytest.fixture(scope="module")
def tensors(format_name):
    return (FORMATS | WRAPPED)[format_name](small_model())


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path, monkeypatch):
    """No temporary file, no open file, no file beside the damaged one."""
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    (tmp_path / "files").mkdir()
    gc.collect()
    opened = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    yield
    gc.collect()
    assert not list(elsewhere.iterdir())
    assert len(list((tmp_path / "files").iterdir())) == 1
    if opened:
        assert len(os.listdir("/proc/self/fd")) <= len(opened)


def load(path, format_name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return minivit.load(path, **({} if format_name == "native" else {"num_heads": CONFIG.num_heads}))


def metadata(format_name):
    return native_metadata(small_model()) if format_name == "native" else None


def test_the_undamaged_file_loads(format_name, tensors, tmp_path):
    load(write(format_name, tensors, tmp_path / "files", metadata(format_name)), format_name)


@pytest.mark.parametrize("harm", damage.STRUCTURED)
def test_damaged_tensors(harm, format_name, tensors, tmp_path):
    """Names, dtypes, shapes, values that are not finite."""
    for seed in range(EACH):
        damaged = harm(tensors, np.random.default_rng(seed))
        path = write(format_name, damaged, tmp_path / "files", metadata(format_name))
        with pytest.raises(minivit.CheckpointError):
            load(path, format_name)


def test_files_cut_short(format_name, tensors, tmp_path):
    path = write(format_name, tensors, tmp_path / "files", metadata(format_name))
    content = path.read_bytes()
    for seed in range(EACH):
        path.write_bytes(damage.cut_short(content, np.random.default_rng(seed)))
        with pytest.raises(minivit.CheckpointError):
            load(path, format_name)


def test_damaged_headers(format_name, tensors, tmp_path):
    path = write(format_name, tensors, tmp_path / "files", metadata(format_name))
    content = path.read_bytes()
    harm = damage.header_of_npz if format_name.startswith("google") else damage.header_of_safetensors
    for seed in range(EACH):
        path.write_bytes(harm(content, np.random.default_rng(seed)))
        with pytest.raises(minivit.CheckpointError):
            load(path, format_name)


def test_any_flipped_byte(format_name, tensors, tmp_path):
    """In the payload a flipped bit is another weight: the file may load, and then computes."""
    path = write(format_name, tensors, tmp_path / "files", metadata(format_name))
    content = path.read_bytes()
    for seed in range(EACH):
        path.write_bytes(damage.flipped(content, np.random.default_rng(seed)))
        try:
            model = load(path, format_name)
        except minivit.CheckpointError:
            continue
        assert model.config.width == CONFIG.width


@pytest.mark.parametrize("content", [b"", b"\0", b"PK\x03\x04", b"\x80\x02", b"{}", b"\x08" + b"\0" * 7 + b"{}      ",
                                     b"\xff" * 8 + b"{" * 100, b"\x93NUMPY\x01\x00"],
                         ids=["empty", "one byte", "zip", "pickle", "JSON", "no tensors", "huge header", ".npy"])
def test_files_of_nothing(content, tmp_path):
    path = tmp_path / "files" / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(minivit.CheckpointError):
        minivit.load(path)


def test_metadata_of_every_wrong_kind(tmp_path):
    """The metadata of minivit's own files: parts missing, of the wrong type, or at odds with the weights."""
    import json
    model = small_model()
    good = json.loads(native_metadata(model)["minivit"])
    wrong = [None, 3, "x", [], {}, [1], {"a": 1}, -1, 1e400, True]
    for part in good:
        for value in wrong:
            if value is None and part in ("labels", "name"):
                continue
            if (part, value) in (("name", "x"), ("preprocessing", {})):       # a name, and the defaults
                continue
            path = write("native", FORMATS["native"](model), tmp_path / "files",
                         {"minivit": json.dumps({**good, part: value})})
            with pytest.raises(minivit.CheckpointError) as caught:
                minivit.load(path)
            assert str(caught.value).count(str(path)) == 1
    for field in ("width", "num_layers", "mlp_width", "num_classes", "patch_size", "image_size", "num_heads", "pool"):
        for value in (None, "x", -1, 0.5, [], 10 ** 9, 5):
            path = write("native", FORMATS["native"](model), tmp_path / "files",
                         {"minivit": json.dumps({**good, "config": {**good["config"], field: value}})})
            with pytest.raises(minivit.CheckpointError):
                minivit.load(path)
    assert Path(path).exists()
