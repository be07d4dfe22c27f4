"""The trace of a torch module of timm, transformers or torchvision, under minivit's names, with its gradients.

Hooks on submodules tell what goes in and comes out. What attention computes inside one fused call is seen by watching
that call: q, k, v and the scale are its arguments. Everything runs in float64, on a copy.
"""

import contextlib
import copy
import re
from unittest import mock

from ..checkpoints.fitting import fit_names
from ..checkpoints.loading import form_of
from ..checkpoints.torch_file import from_module
from ..trees import flatten

IN, OUT = "in", "out"

TIMM = {"patch_embedding": ("patch_embed", OUT), "embedded": ("blocks.0", IN), "norm": ("norm", OUT),
        "representation": ("head", IN), "logits": ("head", OUT)}
TIMM_LAYER = {"norm1": ("norm1", OUT), "attended": ("attn.proj", OUT), "residual1": ("norm2", IN),
              "norm2": ("norm2", OUT), "hidden": ("mlp.fc2", IN), "mlp": ("mlp.fc2", OUT), "output": ("", OUT)}
HUGGING_FACE = {"patch_embedding": ("embeddings.patch_embeddings", OUT), "embedded": ("embeddings", OUT),
                "norm": ("layernorm", OUT), "representation": ("classifier", IN), "logits": ("classifier", OUT)}
HUGGING_FACE_LAYER = {"norm1": ("layernorm_before", OUT), "attended": ("attention.o_proj", OUT),
                      "residual1": ("layernorm_after", IN), "norm2": ("layernorm_after", OUT),
                      "hidden": ("mlp.fc2", IN), "mlp": ("mlp.fc2", OUT), "output": ("", OUT)}
HUGGING_FACE_4 = {"attention.o_proj": "attention.output.dense", "mlp.fc2": "output.dense"}
TORCHVISION = {"tokens": ("encoder", IN), "embedded": ("encoder.layers.encoder_layer_0", IN),
               "norm": ("encoder.ln", OUT), "representation": ("heads", IN), "logits": ("heads", OUT)}
TORCHVISION_LAYER = {"norm1": ("ln_1", OUT), "attended": ("self_attention", OUT), "residual1": ("ln_2", IN),
                     "norm2": ("ln_2", OUT), "hidden": ("mlp.3", IN), "mlp": ("mlp.3", OUT), "output": ("", OUT)}
LAYERS = {"timm": r"blocks\.(\d+)", "Hugging Face": r"(?:vit\.)?(?:encoder\.layer|layers)\.(\d+)",
          "torchvision": r"encoder\.layers\.encoder_layer_(\d+)"}


def torch_trace(module, x, dy=None):
    """({step: array}, {"pixels" or parameter: gradient}) of a module on pixels x (B, H, W, 3), arrays in float64.

    dy: the upstream gradient of the module's output, (B, K); without it no gradients are taken. Parameters have
    minivit's names and shapes. Raises CheckpointError for a module of another kind, ValueError for another image size.
    """
    import torch
    source = from_module(module)
    form = form_of(source)
    places, _ = fit_names(source, form)
    module = copy.deepcopy(module).double().cpu().eval().requires_grad_(dy is not None)
    pixels = torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float64, requires_grad=dy is not None)
    record = {}
    with contextlib.ExitStack() as stack:
        watch = _Watch(record, torch)
        for handle in _hooks(module, form.NAME, record, watch):
            stack.callback(handle.remove)
        stack.enter_context(_without_shortcuts(torch))
        stack.enter_context(torch.set_grad_enabled(dy is not None))
        stack.enter_context(watch)
        try:
            output = _output(module(pixels, **_size_option(module, x)))
        except (AssertionError, ValueError, RuntimeError) as error:
            raise ValueError(f"{source.label} does not take images of {x.shape[1]} x {x.shape[2]} pixels: "
                             f"{' '.join(str(error).split())}") from None
    record.setdefault("representation", record["norm"][:, 0])
    if "logits" in record:
        record["probabilities"] = record["logits"].softmax(dim=-1)
    steps = {name: tensor.detach().numpy() for name, tensor in record.items()}
    if dy is None:
        return steps, {}
    (output * torch.tensor(dy)).sum().backward()
    parameters = dict(module.named_parameters())
    gradients = {"pixels": pixels.grad.numpy().transpose(0, 2, 3, 1)}
    for ours, group in places.items():
        # A pooler, which nothing reads here, is not among the places; each place has a gradient.
        gradients[ours] = form.to_ours(ours, [parameters[name].grad.numpy() for name in group])
    return steps, flatten(gradients)


def _hooks(module, form, record, watch):
    """Register hooks that fill record; yields their handles."""
    modules = dict(module.named_modules())
    table, layer_table = {"timm": (TIMM, TIMM_LAYER), "Hugging Face": (HUGGING_FACE, HUGGING_FACE_LAYER),
                          "torchvision": (TORCHVISION, TORCHVISION_LAYER)}[form]
    prefix = "vit." if "vit.embeddings" in modules else ""
    if form == "timm" and hasattr(module.fc_norm, "weight"):
        table = {**table, "norm": ("fc_norm", OUT)}
    rows = {step: (path if path in modules else prefix + path, side) for step, (path, side) in table.items()}
    for path in modules:
        if match := re.fullmatch(LAYERS[form], path):
            for step, (inner, side) in layer_table.items():
                if inner and f"{path}.{inner}" not in modules:
                    inner = HUGGING_FACE_4[inner]
                rows[f"layer.{match[1]}.{step}"] = (f"{path}.{inner}".rstrip("."), side)
            yield modules[path].register_forward_pre_hook(_enter(watch, int(match[1])))
    for step, (path, side) in rows.items():
        if path in modules:
            yield _hook(modules[path], side, step, record)


def _enter(watch, layer):
    def hook(module, args):
        watch.layer = layer
    return hook


def _hook(module, side, step, record):
    def keep(value):
        value = value[0] if isinstance(value, tuple) else value
        record[step] = value.flatten(2).transpose(1, 2) if step == "patch_embedding" and value.ndim == 4 else value
    if side == IN:
        return module.register_forward_pre_hook(lambda module, args: keep(args))
    return module.register_forward_hook(lambda module, args, output: keep(output))


class _Watch:
    """While it is entered, each attention call, fused or by softmax, leaves its arguments and result in record."""

    def __init__(self, record, torch):
        self.record, self.layer, self.stack = record, 0, contextlib.ExitStack()
        self.softmax = torch.softmax
        self.places = [(torch.nn.functional, "scaled_dot_product_attention", self._fused),
                       (torch.nn.functional, "softmax", self._softmax), (torch, "softmax", self._softmax),
                       (torch.Tensor, "softmax", self._softmax)]

    def __enter__(self):
        for owner, name, wrapped in self.places:
            self.stack.enter_context(mock.patch.object(owner, name, wrapped(getattr(owner, name))))
        return self

    def __exit__(self, *error):
        self.stack.close()

    def _fused(self, function):
        def watched(query, key, value, *args, **kwargs):
            scores = query @ key.transpose(-1, -2) * (kwargs.get("scale") or query.shape[-1] ** -0.5)
            attention = self.softmax(scores, dim=-1)
            self._keep(query=query, key=key, value=value, scores=scores, attention=attention)
            return function(query, key, value, *args, **kwargs)
        return watched

    def _softmax(self, function):
        def watched(scores, *args, **kwargs):
            attention = function(scores, *args, **kwargs)
            if scores.ndim == 4:
                self._keep(scores=scores, attention=attention)
            return attention
        return watched

    def _keep(self, **steps):
        for step, tensor in steps.items():
            self.record.setdefault(f"layer.{self.layer}.{step}", tensor)


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


def _output(result):
    """Logits, or the representation of a model without head."""
    if hasattr(result, "logits"):
        return result.logits
    return result.last_hidden_state[:, 0] if hasattr(result, "last_hidden_state") else result
