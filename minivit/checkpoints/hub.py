"""A model by its name on the Hugging Face hub, OWNER/NAME: its files in the local cache, all of one commit.

huggingface_hub fetches them, resumes what broke off, and keeps its cache where transformers and timm find it too.
"""

import os
import re
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ..errors import CheckpointError
from . import folder
from .hub_messages import told

NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
FILES = (".safetensors", ".npz", ".pth", ".pt", ".bin", ".ckpt", ".h5")     # what ends so is a file that is not there
CONFIG, PREPROCESSOR = folder.SETTINGS
WEIGHTS = folder.WEIGHTS[0]


def is_name(source):
    """Whether this is a model's name there: OWNER/NAME, and no path on this disk."""
    return (isinstance(source, str) and NAME.fullmatch(source) is not None and not source.endswith(FILES)
            and not os.path.lexists(source))


def open_source(name, revision, token, open_file):
    """The Source of a model's files, those of the newest commit or of `revision`. Raises CheckpointError."""
    place = download(name, revision, token)
    source = folder.open_source(place, open_file)
    source.label, source.commit = name, place.name
    return source


def download(name, revision=None, token=None):
    """The folder in the cache with the settings and the weights of one commit, fetched where they are not there yet.

    Nothing pickled is fetched. Raises CheckpointError.
    """
    try:
        import huggingface_hub as hub
        import huggingface_hub.errors
    except ImportError:
        raise CheckpointError(f"no file or folder {name} is here, and reading it by name from the Hugging Face hub "
                              "needs one more package: pip install 'minivit[hub]'") from None
    _check(revision, token)
    with told(hub, name, revision, token), _quiet():
        fetch = partial(_fetched, hub, name, token)
        first = fetch(revision, CONFIG) or fetch(revision, WEIGHTS)
        if first is None:
            raise _without_weights(hub, name, revision, token)
        # The first file shows the commit. All others are asked for by it: a branch may move in between.
        place = Path(first).parent
        commit = place.name
        if "architecture" not in folder.settings_beside(place / CONFIG).get(CONFIG, {}):     # timm's say all themselves
            fetch(commit, PREPROCESSOR)
        if fetch(commit, WEIGHTS) is None:
            index = fetch(commit, f"{WEIGHTS}.index.json")
            if index is None:
                raise _without_weights(hub, name, commit, token)
            for shard in _shards(name, Path(index)):
                if fetch(commit, shard) is None:
                    raise CheckpointError(f"{name}: its index names the file {shard!r}, which it does not hold")
    return place


def _fetched(hub, name, token, revision, file):
    """The path of one file in the cache, or None where the model has no such file."""
    # That a commit lacks a file is kept in the cache, and stays true.
    lacking = hub.try_to_load_from_cache(name, file, revision=revision) is hub._CACHED_NO_EXIST
    if lacking and COMMIT.fullmatch(revision or ""):
        return None
    try:
        return hub.hf_hub_download(name, file, revision=revision, token=token)
    except hub.errors.LocalEntryNotFoundError:              # the hub does not answer, and the cache has no such file
        if lacking:
            return None
        raise
    except hub.errors.EntryNotFoundError:
        return None


def _shards(name, index):
    """The names of the files that an index names. Raises CheckpointError for what is no such file beside it."""
    files = sorted(set(map(str, folder.weight_map(name, folder.read_json(index)).values())))
    odd = next((file for file in files if not re.fullmatch(r"[\w.-]+\.safetensors", file, re.ASCII)), None)
    if odd is not None:
        raise CheckpointError(f"{name}: its index names {odd!r}, which is no .safetensors file beside it")
    return files


def _without_weights(hub, name, revision, token):
    """The error for a model without model.safetensors, whole or in shards."""
    files = [file.rfilename for file in hub.model_info(name, revision=revision, token=token).siblings]
    pickle = next((file for file in files if file.endswith((".bin", ".pth", ".pt", ".ckpt"))), None)
    if pickle:
        settings = " ".join(file for file in folder.SETTINGS if file in files)
        return CheckpointError(f"{name} holds no {WEIGHTS}, but {pickle}, a pickle, which is not fetched by itself: hf "
                               f"download {name} {settings} {pickle} --local-dir FOLDER, then load FOLDER with torch "
                               "installed")
    return CheckpointError(f"{name} holds no {WEIGHTS}, only {', '.join(files[:8]) or 'nothing'}: download the file of "
                           "weights, if one of them is, and give its path")


def _check(revision, token):
    if revision is not None and not (isinstance(revision, str) and revision.strip()):
        raise CheckpointError(f"revision is {revision!r}, expected a branch, a tag or a commit")
    if not (token is None or isinstance(token, bool) or (isinstance(token, str) and re.fullmatch(r"[!-~]+", token))):
        raise CheckpointError("token is no text of printable characters without spaces, which a token of the hub is")


@contextmanager
def _quiet():
    """huggingface_hub's own warnings are held back: each retry is one, and what fails for good is raised."""
    from huggingface_hub.utils import logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
