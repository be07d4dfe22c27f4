"""What needs torch: a .pth, .pt or .bin file, and a torch module that is at hand.

Files are pickles. torch.load(weights_only=True) refuses all of a pickle but tensors and plain containers; nothing here
ever passes weights_only=False.
"""

import os
import re
import zipfile

from ..errors import CheckpointError
from . import state_dicts
from .source import damage_is_told
from .zip_file import MAGIC, open_zip

LARGEST_PICKLE = 16 << 20
SCRIPTS = ("ScriptModule", "RecursiveScriptModule", "TopLevelTracedModule")


def is_module(source):
    """Whether this is a torch module; torch need not be imported to know."""
    return callable(getattr(source, "state_dict", None)) and callable(getattr(source, "named_modules", None))


def from_module(module):
    """The Source of a torch module. Its weights are copied: training it further does not change the model."""
    label = f"the torch module {type(module).__name__}"
    tensors = dict(module.state_dict())
    for name, value in tensors.items():
        if not state_dicts.is_tensor(value) or getattr(value, "is_quantized", False):
            raise CheckpointError(f"{label} is quantised: {name} is no tensor of floats; give the module that it was "
                                  "made from")
    source = state_dicts.from_mapping(tensors)
    source.label = label
    if type(module).__name__ in SCRIPTS:
        source.assumed.append("what TorchScript keeps no record of")
    else:
        source.module = module
    return source


def open_source(path, key=None):
    """The Source of a file that torch.save wrote. Raises CheckpointError."""
    label = str(path)
    try:
        import torch
    except ImportError:
        raise CheckpointError(f"{label} was written by torch.save: reading it needs torch (pip install torch), "
                              "or convert it to .safetensors where torch is") from None
    with damage_is_told(label, "file of torch.save's that holds nothing but tensors"):
        _look_over(path)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise _refused(path, error) from None
        source = state_dicts.from_content(content, label, key, most=os.path.getsize(path))
        source.dtype = "float32"
        return source


def _refused(path, error):
    """What to tell of a pickle that torch.load refuses: the object in it, where it names one, and how to convert."""
    found = re.search(r"GLOBAL ([\w.]{1,100})", str(error))
    if not found:
        return error
    a_module = re.search(r"\.nn\.|model|vit|net", found[1], re.IGNORECASE)
    part = ".state_dict()" if a_module else "['model'], or under whatever key its state dict is"
    return CheckpointError(
        f"{path} holds a {found[1]}, which only Python code can make: refused. Where you trust the file, convert it: "
        f"content = torch.load(path, weights_only=False), then torch.save(content, 'new.pth') of content{part}")


def _look_over(path):
    """Raises CheckpointError for packed members or a huge pickle: torch.save writes neither."""
    with open(path, "rb") as file:
        if file.read(4) != MAGIC:
            return
    with open_zip(path) as archive:
        names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names):
            raise CheckpointError(f"{path} is a TorchScript archive: give minivit.load the module that torch.jit.load "
                                  "makes of it")
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(f"{path}: {member.filename} is packed, which torch.save never does: refused")
            if member.filename.endswith(".pkl") and member.file_size > LARGEST_PICKLE:
                raise CheckpointError(f"{path}: {member.filename} has {member.file_size:,} bytes; a list of a ViT's "
                                      f"tensors takes far less than {LARGEST_PICKLE:,}")
