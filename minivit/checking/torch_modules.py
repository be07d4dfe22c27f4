"""A torch module made ready to be watched: out of its wrappers, a copy in float64, or refused in one line."""

import copy

WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def unwrapped(module):
    """The module that torch.compile or DataParallel wraps, itself or in its parts."""
    while (inner := WRAPPERS.get(type(module).__name__)) is not None:
        module = getattr(module, inner)
    return module


def is_script(module):
    """Whether this is TorchScript, which shows nothing but its output."""
    import torch
    return isinstance(module, torch.jit.ScriptModule)


def watchable(module, label, gradients):
    """A copy in float64, on the CPU, in evaluation, that computes every step in the open. Raises ValueError."""
    for name, value in module.state_dict().items():
        if getattr(value, "is_quantized", True) or str(value.dtype) in ("torch.int8", "torch.uint8"):
            raise ValueError(f"{label} is quantised ({name} holds whole numbers): compare with the module that it was "
                             "made from, or with its steps as arrays, {\"pixels\": …, \"logits\": …}")
        if value.is_meta:
            raise ValueError(f"{label} has no numbers: {name} is on the meta device")
    module = copy.deepcopy(module).double().cpu().eval().requires_grad_(gradients)
    for part in list(module.modules()):
        for name, child in list(part.named_children()):
            setattr(part, name, unwrapped(child))
        for flag in ("grad_checkpointing", "gradient_checkpointing"):
            if getattr(part, flag, False) is True:
                setattr(part, flag, False)                  # it would compute each step twice, the second time unseen
    return module
