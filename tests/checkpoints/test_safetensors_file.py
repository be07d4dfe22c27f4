"""minivit's reader and writer beside the format's own library, and headers that must be refused."""

import gc
import json
import struct
import warnings

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import minivit
from minivit.checkpoints import safetensors_file
from minivit.checkpoints.safetensors_file import TensorFile
from minivit.checkpoints.safetensors_writing import write

rng = np.random.default_rng(0)
DTYPES = ("uint64", "int64", "float64", "float32", "uint32", "int32", "float16", "uint16", "int16", "int8", "uint8",
          "bool")


def tensors():
    """One of every dtype and several shapes, none in the order of the file; a view and an array of no numbers too."""
    result = {f"{i % 3}.{dtype}": (99 * rng.standard_normal((2, i + 1, 3))).astype(dtype)
              for i, dtype in enumerate(sorted(DTYPES))}
    return {**result, "view": rng.standard_normal((4, 6)).T[::2], "empty": np.zeros((0, 5), np.float32),
            "scalar": np.array(2.5), "größe \"x\"\n": np.arange(3), "big end": np.arange(5).astype(">f4")}


def native(array):
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


@pytest.mark.parametrize("metadata", [None, {}, {"a": "ß \" \\ \n"}])
def test_the_file_is_that_of_the_formats_own_library_to_the_byte(tmp_path, metadata):
    arrays = tensors()
    write(tmp_path / "ours.safetensors", arrays, metadata)
    save_file({name: native(array).reshape(array.shape) for name, array in arrays.items()},
              tmp_path / "theirs.safetensors", metadata)
    assert (tmp_path / "ours.safetensors").read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()


def test_files_of_either_are_read_by_the_other(tmp_path):
    arrays = {name: native(array).reshape(array.shape) for name, array in tensors().items()}
    metadata = {"a": "1", "b": "2"}
    write(tmp_path / "ours.safetensors", arrays, metadata)
    save_file(arrays, tmp_path / "theirs.safetensors", metadata)
    with safe_open(tmp_path / "ours.safetensors", framework="numpy") as file:
        assert file.metadata() == metadata
    found = load_file(tmp_path / "ours.safetensors")
    with TensorFile(tmp_path / "theirs.safetensors") as file:
        assert file.metadata == metadata and set(file.shapes) == set(found) == set(arrays)
        for name, array in arrays.items():
            for other in (found[name], file.read(name)):
                assert other.dtype == array.dtype and other.shape == array.shape == file.shapes[name]
                assert other.tobytes() == array.tobytes(), name


def test_bfloat16_is_rounded_to_the_nearest(tmp_path):
    """1 + 2⁻⁸ lies between two bfloat16 numbers and goes to the even one; so does 1 + 3·2⁻⁸."""
    values = np.array([1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -2 ** 100, 0, -0.0, 1e-40], np.float32)
    expected = np.array([1, 1, 1 + 2 ** -6, 1 + 2 ** -7, -2 ** 100, 0, -0.0, 2 ** -133], np.float32)
    odd = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001, 0x7F800000], np.uint32).view(np.float32)     # three NaN, and ∞
    write(tmp_path / "a.safetensors", {"a": values, "nan": odd}, dtype="bfloat16")
    with TensorFile(tmp_path / "a.safetensors") as file:
        assert file.dtypes["a"] == "BF16"
        assert np.array_equal(file.read("a"), expected)
        assert np.isnan(file.read("nan")[:3]).all() and file.read("nan")[3] == np.inf


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_save_in_every_float_dtype(tmp_path, dtype):
    model = minivit.load()
    minivit.save(model, tmp_path / "a.safetensors", dtype=dtype)
    rounding = {"float16": 2 ** -11, "bfloat16": 2 ** -8}.get(dtype, 0)
    again = minivit.state_dict(minivit.load(tmp_path / "a.safetensors"))
    for name, array in minivit.state_dict(model).items():
        assert again[name].dtype == np.float32
        assert np.abs(again[name] - array).max() <= rounding * np.abs(array).max() + 2 ** -25 * (dtype == "float16")
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        codes = {file.get_slice(name).get_dtype() for name in file.keys()}
    assert codes == {{"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}[dtype]}


@pytest.mark.parametrize("dtype, value", [("float16", 1e5), ("bfloat16", 3.4e38), ("float32", 1e39)])
def test_a_number_that_would_become_infinite_is_told_and_nothing_is_written(tmp_path, dtype, value):
    with pytest.raises(ValueError, match=r"weight holds .*cannot"):
        write(tmp_path / "a.safetensors", {"weight": np.array([1, value])}, dtype=dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype, value, wider", [("float16", 1e5, "float32"), ("bfloat16", 3.4e38, "float32"),
                                                 ("float32", 1e39, "float64"), ("float16", 1e39, "float64"),
                                                 ("bfloat16", 1e39, "float64")])
def test_the_dtype_to_save_as_instead_holds_the_number(tmp_path, dtype, value, wider):
    tensors = {"weight": np.array([1, -value])}
    with pytest.raises(ValueError, match=f"cannot: save as {wider}$"):
        write(tmp_path / "a.safetensors", tensors, dtype=dtype)
    write(tmp_path / "a.safetensors", tensors, dtype=wider)
    assert np.isfinite(TensorFile(tmp_path / "a.safetensors").read("weight")).all()


@pytest.mark.parametrize("name, array", [("a", np.zeros(2, complex)), ("a", np.array(["x"])),
                                         ("__metadata__", np.zeros(2))])
def test_what_no_file_can_hold(tmp_path, name, array):
    with pytest.raises(ValueError, match="holds no tensor"):
        write(tmp_path / "a.safetensors", {name: array})


GOOD = {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}


def file_with(path, header, payload):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + payload)
    return path


def changed(**fields):
    return {"a": GOOD["a"] | fields}


@pytest.mark.parametrize("header, said", [
    (changed(dtype="F4"), "of dtype 'F4', expected one of"), (changed(dtype=["F32"]), "of dtype"),
    (changed(shape=[4]), "has 12 bytes, its shape and dtype need 16"), (changed(shape=[3.0]), r"the shape \[3.0\]"),
    (changed(shape=[-1, -3]), "the shape"), (changed(shape=[True, 3]), "the shape"), (changed(shape=3), "the shape"),
    (changed(shape=[1] * 65 + [3]), "the shape"), (changed(shape=[10 ** 4000] * 900), "the shape"),
    (changed(data_offsets=[4, 16]), "begins at byte 4 of the numbers, expected 0"),
    (changed(data_offsets=[12, 0]), "begins at byte 12"), (changed(data_offsets=[0]), "data_offsets"),
    (changed(data_offsets=["0", "12"]), "data_offsets"), (changed(more=1), "or has more than these"),
    ({"a": 3}, "no dtype, shape and data_offsets"), ({}, "it has 22 bytes, its header tells of 10"),
    ({**GOOD, "b": GOOD["a"]}, "b begins at byte 0 of the numbers, expected 12"),
    ({**GOOD, "__metadata__": {"a": 1}}, "does not map texts to texts"), ({**GOOD, "__metadata__": []}, "metadata"),
    (b'{"a": {}, "a": {}}', "a name stands twice"), (b'{"a":{"dtype":"F32","dtype":"F32"}}', "stands twice"),
    (b'{"a": \xff}', "codec"), (b"[]", "no JSON object"), (b"", "Expecting value"), (b'{"a": NaN}', "no dtype")])
def test_headers_that_are_refused(tmp_path, header, said):
    with pytest.raises(minivit.CheckpointError, match=said):
        TensorFile(file_with(tmp_path / "odd.safetensors", header, bytes(12)))


def test_a_file_that_is_too_long_or_too_short(tmp_path):
    TensorFile(file_with(tmp_path / "a", GOOD, bytes(12))).close()
    for count in (11, 13, 0):
        with pytest.raises(minivit.CheckpointError, match="its header tells of"):
            TensorFile(file_with(tmp_path / "a", GOOD, bytes(count)))
    (tmp_path / "a").write_bytes(struct.pack("<Q", 500) + b'{"a"')
    with pytest.raises(minivit.CheckpointError, match="ends within its header"):
        TensorFile(tmp_path / "a")


def test_a_file_cut_while_it_is_read(tmp_path):
    path = file_with(tmp_path / "a", changed(shape=[30_000], data_offsets=[0, 120_000]), bytes(120_000))
    with TensorFile(path) as file:
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(minivit.CheckpointError, match="ends before a does"):
            file.read("a")


def test_no_file_stays_open(tmp_path):
    """Neither after a load, nor after a refusal: Python would warn of it."""
    minivit.save(minivit.load(), tmp_path / "a.safetensors")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        minivit.load(tmp_path / "a.safetensors")
        (tmp_path / "a.safetensors").write_bytes(b"\x05" + bytes(7) + b"{    ")
        with pytest.raises(minivit.CheckpointError):
            minivit.load(tmp_path / "a.safetensors")
        gc.collect()
    assert not [warning for warning in caught if issubclass(warning.category, ResourceWarning)]


def test_numbers_are_read_without_a_copy(tmp_path, monkeypatch):
    """The array that is handed out is the one that the file was read into."""
    write(tmp_path / "a", {"a": np.ones((3, 4), np.float32)})
    made = []
    empty = np.empty
    monkeypatch.setattr(safetensors_file.np, "empty", lambda *args: made.append(empty(*args)) or made[-1])
    with TensorFile(tmp_path / "a") as file:
        assert np.shares_memory(file.read("a"), made[0]) and len(made) == 1


@pytest.mark.parametrize("over", [0, 8])
def test_a_header_that_is_longer_than_any_needs_to_be(tmp_path, over):
    """Blanks may end a header: with so many it is whole, and of the longest length that is read, or longer."""
    path = tmp_path / "long.safetensors"
    text = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    length = safetensors_file.LARGEST_HEADER + over
    path.write_bytes(struct.pack("<Q", length) + text.ljust(length) + struct.pack("<f", 2.5))
    if over:
        with pytest.raises(minivit.CheckpointError, match="has a header of 4,194,312 bytes; a ViT's takes far less"):
            TensorFile(path)
    else:
        assert TensorFile(path).read("a") == 2.5
