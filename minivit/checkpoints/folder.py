"""A folder as Hugging Face's and timm's `save_pretrained` write it: config.json, and weights in one file or many."""

import json

from ..errors import CheckpointError
from .source import Source, damage_is_told

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
SETTINGS = ("config.json", "preprocessor_config.json")
LARGEST_JSON = 16 << 20


def open_source(folder, open_file):
    """The Source of a folder; open_file opens the files in it. Raises CheckpointError."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            source = open_file(folder / name)
            break
        index = folder / f"{name}.index.json"
        if index.is_file():
            source = _sharded(folder, read_json(index), open_file)
            break
    else:
        raise CheckpointError(f"the folder {folder} holds no {' and no '.join(WEIGHTS)}: give the weights' file itself")
    if not (folder / SETTINGS[0]).is_file() and "minivit" not in source.metadata:       # a folder of minivit train
        raise CheckpointError(f"the folder {folder} holds no config.json: give the weights' file itself")
    source.label, source.settings = str(folder), settings_beside(folder / SETTINGS[0])
    return source


def settings_beside(path):
    """{file name: content} of the JSON files beside a file of weights."""
    return {name: read_json(path.parent / name) for name in SETTINGS if (path.parent / name).is_file()}


def _sharded(folder, index, open_file):
    """One Source for the files that an index names."""
    places = weight_map(folder, index)
    shards = {}
    for file in set(map(str, places.values())):
        if (folder / file).parent != folder or not (folder / file).is_file():
            raise CheckpointError(f"{folder}: its index names the file {file!r}, which is not in the folder")
        shards[file] = open_file(folder / file)
    shapes = {name: shape for shard in shards.values() for name, shape in shard.shapes.items()}
    missing = [name for name in places if name not in shards[places[name]].shapes]
    if missing or set(shapes) != set(places):
        odd = (missing or sorted(set(shapes) ^ set(places)))[0]
        raise CheckpointError(f"{folder}: index and files disagree about {odd}")
    return Source(str(folder), {name: shapes[name] for name in places}, lambda name: shards[places[name]].read(name))


def weight_map(label, index):
    """{tensor: file} of an index. Raises CheckpointError."""
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{label}: its index of weights has no weight_map")
    return places


def read_json(path):
    """The object in a JSON file. Raises CheckpointError."""
    with damage_is_told(str(path), "JSON file"):
        if path.stat().st_size > LARGEST_JSON:
            raise CheckpointError(f"{path} has more than {LARGEST_JSON:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise CheckpointError(f"{path} holds a {type(content).__name__}, expected a JSON object")
        return content
