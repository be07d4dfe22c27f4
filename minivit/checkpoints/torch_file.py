"""What needs torch: a .pth, .pt or .bin file, and a torch module that is at hand.

Files are pickles. torch.load(weights_only=True) refuses all of a pickle but tensors and plain containers; nothing here
ever passes weights_only=False.
"""

import os
import zipfile

from ..errors import CheckpointError
from .source import Source, damage_is_told
from .zip_file import MAGIC, open_zip

NESTED_UNDER = ("state_dict_ema", "model_ema", "state_dict", "model")
LARGEST_PICKLE = 16 << 20


def is_module(source):
    """Whether this is a torch module; torch need not be imported to know."""
    return callable(getattr(source, "state_dict", None)) and callable(getattr(source, "named_modules", None))


def from_module(module):
    """The Source of a torch module. Its weights are copied: training it further does not change the model."""
    tensors = dict(module.state_dict())
    dtypes = {str(tensor.dtype) for tensor in tensors.values() if tensor.is_floating_point()}
    label = f"the torch module {type(module).__name__}"
    source = _from_tensors(label, tensors, copy=True)
    source.module, source.dtype = module, "float64" if dtypes == {"torch.float64"} else "float32"
    return source


def open_source(path):
    """The Source of a file that torch.save wrote. Raises CheckpointError."""
    label = str(path)
    try:
        import torch
    except ImportError:
        raise CheckpointError(f"{label} was written by torch.save: reading it needs torch (pip install torch), "
                              "or convert it to .safetensors where torch is") from None
    with damage_is_told(label, "file of torch.save's that holds nothing but tensors"):
        _look_over(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        tensors = _state_dict(content, label, torch.Tensor)
        claimed = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if claimed > os.path.getsize(path):
            raise CheckpointError(f"{label} claims {claimed:,} bytes of tensors, more than the file holds")
        return _from_tensors(label, tensors)


def _look_over(path):
    """Raises CheckpointError for packed members or a huge pickle: torch.save writes neither."""
    with open(path, "rb") as file:
        if file.read(4) != MAGIC:
            return
    with open_zip(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise CheckpointError(f"{path}: {member.filename} is packed, which torch.save never does: refused")
            if member.filename.endswith(".pkl") and member.file_size > LARGEST_PICKLE:
                raise CheckpointError(f"{path}: {member.filename} has {member.file_size:,} bytes; a list of a ViT's "
                                      f"tensors takes far less than {LARGEST_PICKLE:,}")


def _state_dict(content, label, tensor_type):
    """{name: tensor} from what the file holds, one level down where a training script nested it."""
    for key in NESTED_UNDER:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{label} holds a {type(content).__name__}, expected a dict of tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, tensor_type):
            raise CheckpointError(f"{label}: {name!r} is a {type(value).__name__}, expected a tensor: save the model's "
                                  "state_dict()")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}


def _from_tensors(label, tensors, copy=False):
    def read(name):
        tensor = tensors[name]
        if not tensor.is_floating_point() or str(tensor.layout) != "torch.strided" or tensor.is_meta:
            raise CheckpointError(f"{label}: {name} is {tensor.dtype}, {tensor.layout}, on {tensor.device}: expected "
                                  "plain floats")
        tensor = tensor.detach().cpu()
        if str(tensor.dtype) not in ("torch.float64", "torch.float32", "torch.float16"):
            tensor = tensor.float()
        return tensor.numpy().copy() if copy else tensor.numpy()

    return Source(label, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, read)
