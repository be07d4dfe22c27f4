"""The trace of a torch module of timm, transformers or torchvision, under minivit's names, with its gradients.

Hooks on submodules tell what goes in and comes out (`torch_steps`), attention calls are watched (`torch_watch`).
Everything runs in float64, on a copy, whatever is around the call: no_grad and inference_mode among it.
"""

import contextlib

from ..checkpoints.fitting import fit_names
from ..checkpoints.loading import form_of
from ..checkpoints.torch_file import from_module
from ..trees import flatten
from .torch_modules import is_script, unwrapped, watchable
from .torch_steps import hooks, two_tokens
from .torch_watch import Watch


def torch_trace(module, x, dy=None):
    """({step: array}, {"pixels" or parameter: gradient}) of a module on pixels x (B, H, W, 3), arrays in float64.

    dy: the upstream gradient of the module's output, (B, K); without it no gradients are taken. Parameters have
    minivit's names and shapes. TorchScript gives its output alone, in its own dtype. Raises CheckpointError for a
    module of another kind, ValueError for another image size, and for what cannot be watched.
    """
    import torch
    module = unwrapped(module)
    with torch.inference_mode(False), torch.set_grad_enabled(dy is not None):
        if is_script(module):
            return _script_steps(module, x, dy, torch), {}
        return _steps_and_gradients(module, x, dy, torch)


def _steps_and_gradients(module, x, dy, torch):
    label = f"the torch module {type(module).__name__}"
    module = watchable(module, label, dy is not None)
    source = from_module(module)
    form = form_of(source)
    places, _ = fit_names(source, form)
    pixels = torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float64, requires_grad=dy is not None)
    record = {}
    with contextlib.ExitStack() as stack:
        watch = Watch(record, torch)
        for handle in hooks(module, form.NAME, record, watch):
            stack.callback(handle.remove)
        stack.enter_context(_without_shortcuts(torch))
        stack.enter_context(watch)
        output = _run(module, pixels, x, label)
        two_tokens(record, output)
        record.setdefault("representation", record["norm"] if record["norm"].ndim == 2 else record["norm"][:, 0])
        if "logits" in record:
            record["probabilities"] = record["logits"].softmax(dim=-1)
        steps = {name: tensor.detach().numpy() for name, tensor in record.items()}
        if dy is None:
            return steps, {}
        if tuple(output.shape) != dy.shape:
            raise ValueError(f"{label} returns an output of shape {tuple(output.shape)}, the upstream gradient has "
                             f"{dy.shape}: one of the two has no head")
        # Still watched: a part that is computed a second time must find what it found the first time.
        (output * torch.tensor(dy)).sum().backward()
    parameters = dict(module.named_parameters())
    gradients = {"pixels": pixels.grad.numpy().transpose(0, 2, 3, 1)}
    for ours, group in places.items():
        # A pooler, which nothing reads here, is not among the places; a head that is not called has no gradient.
        arrays = [parameters[name].grad for name in group if name in parameters]
        if len(arrays) == len(group) and all(array is not None for array in arrays):
            gradients[ours] = form.to_ours(ours, [array.numpy() for array in arrays])
    return steps, flatten(gradients)


def _script_steps(module, x, dy, torch):
    """The output of a TorchScript module, which keeps no record of the steps within."""
    label = f"the TorchScript module {type(module).__name__}"
    if dy is not None:
        raise ValueError(f"{label} shows no gradients of its parameters: compare with the module that it was made from")
    floats = [tensor.dtype for tensor in module.state_dict().values() if tensor.is_floating_point()]
    pixels = torch.tensor(x.transpose(0, 3, 1, 2), dtype=floats[0] if floats else torch.float32)
    output = _run(module, pixels, x, label)
    return {"logits": output.detach().cpu().to(torch.promote_types(output.dtype, torch.float32)).numpy()}


def _run(module, pixels, x, label):
    """The module's output. Raises ValueError in one line."""
    try:
        return _output(module(pixels, **_size_option(module, x)), module)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise ValueError(f"{label} does not take images of {x.shape[1]} x {x.shape[2]} pixels: "
                         f"{' '.join(str(error).split())[:300]}") from None


@contextlib.contextmanager
def _without_shortcuts(torch):
    """nn.MultiheadAttention outside of training takes a path that nothing can watch."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _size_option(module, x):
    """transformers resamples positions to another image size only when asked to."""
    size = getattr(getattr(module, "config", None), "image_size", None)
    if size is None:
        return {}
    sides = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    return {"interpolate_pos_encoding": True} if sides != x.shape[1:3] else {}


def _output(result, module):
    """Logits, or the representation of a model without head: what CLIP and SigLIP call pooled, else [CLS]."""
    if hasattr(result, "logits"):
        return result.logits
    if isinstance(result, (tuple, list)):
        return result[0]
    if any(name.split(".")[-1] == "post_layernorm" for name, _ in module.named_modules()):
        return result.pooler_output
    return result.last_hidden_state[:, 0] if hasattr(result, "last_hidden_state") else result
