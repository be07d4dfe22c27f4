"""What a source is, told by its content: a packaged model, a folder, a file of some kind, a module, a state dict."""

from collections.abc import Mapping
from pathlib import Path

from ..errors import CheckpointError
from . import folder, hub, npz_file, safetensors_file, state_dicts, torch_file, zip_file
from .source import damage_is_told

MODELS = Path(__file__).parent.parent / "models"
LEGACY_PICKLE = b"\x80"
FOREIGN = (                     # files that hold no weights which can be read here, and what each needs
    (b"version https://git-lfs", "a Git LFS pointer, not the weights: run git lfs pull, or download the file itself"),
    (b"<!DOCTYPE", "a web page, perhaps of a download that failed: download the file itself"),
    (b"<html", "a web page, perhaps of a download that failed: download the file itself"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes it: save its arrays under Google's names with numpy.savez"),
    (b"\x93NUMPY", "a single .npy array: save the arrays by name with numpy.savez"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"GGUF", "a GGUF file: give the .safetensors file that it was made from"),
)


def packaged():
    """The names of the packaged models."""
    return sorted(path.stem for path in MODELS.glob("*.safetensors"))


def open_source(source, key=None, revision=None, token=None):
    """The Source of whatever `load` takes; key: where a nested file holds its state dict. Raises CheckpointError.

    revision, token: of a model by its name on the hub.
    """
    if hub.is_name(source):
        return hub.open_source(source, revision, token, lambda file: open_file(file, key))
    if revision is not None:
        raise CheckpointError("revision is for a model by its name on the Hugging Face hub, and "
                              f"{source if isinstance(source, (str, Path)) else type(source).__name__} is none, or is "
                              "here on this disk: leave it out")
    if torch_file.is_module(source):
        return torch_file.from_module(source)
    if isinstance(source, Mapping):
        return state_dicts.from_mapping(source, key)
    if not isinstance(source, (str, Path)):
        raise CheckpointError("a model is loaded from a name, a path, a torch module or a state dict, found "
                              f"{type(source).__name__}")
    if source == "":
        raise CheckpointError(f"an empty name is no model's: give a file, or a packaged model: {', '.join(packaged())}")
    path = MODELS / f"{source}.safetensors" if str(source) in packaged() else Path(source)
    try:
        there = path.exists()
    except (OSError, ValueError) as error:              # a name too long, or with a zero byte
        raise CheckpointError(f"{source} is no file's name: {getattr(error, 'strerror', None) or error}") from None
    if not there:
        raise CheckpointError(f"no file {source}, and no packaged model of that name: there is {', '.join(packaged())}")
    if not path.is_file() and not path.is_dir():
        raise CheckpointError(f"{path} is no plain file but a pipe, socket or device: give a file of weights")
    if path.is_dir():
        return folder.open_source(path, lambda file: open_file(file, key))
    opened = open_file(path, key)
    opened.settings = folder.settings_beside(path)
    return opened


def open_file(path, key=None):
    """The Source of one file, by what its first bytes are, whatever its name. Raises CheckpointError."""
    with damage_is_told(str(path), "file of weights"):
        with open(path, "rb") as file:
            start = file.read(64)
        size = path.stat().st_size
        if start[:4] == zip_file.MAGIC and not npz_file.is_npz(path):
            return torch_file.open_source(path, key)
        # The length at the start of a .safetensors file may begin with any byte, a pickle's first among them.
        if start[:1] == LEGACY_PICKLE and not safetensors_file.matches(start):
            return torch_file.open_source(path, key)
        if key is not None:
            raise CheckpointError(f"{path} holds no dicts, and so nothing under key={key!r}: leave it out")
        if start[:4] == zip_file.MAGIC:
            return npz_file.open_source(path)
        if safetensors_file.matches(start):
            return safetensors_file.open_source(path)
    what = next((what for sign, what in FOREIGN if start.startswith(sign)), None)
    if what:
        raise CheckpointError(f"{path} is {what}")
    raise CheckpointError(f"{path}, {size:,} bytes, is no .safetensors, .npz or .pth file, whatever its name says")
