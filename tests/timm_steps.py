"""timm's VisionTransformer opened up: its intermediate arrays under minivit's names, and peaked weights for it.

Needs torch, timm and torchvision. Used by reference/make_reference.py and by the live comparison in parity/.
"""

import math

import torch
from torch.overrides import TorchFunctionMode

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # torchvision's wheel registers kernels for two operators that torch's CPU build does not declare.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from timm.layers import GELUTanh  # noqa: F401
from timm.models.vision_transformer import VisionTransformer  # noqa: F401


def peak(model, seed, query_key_std):
    """A timm model with random weights whose attention is peaked: see `draw`."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(draw(name, weight.shape, generator, query_key_std))
    return model


def draw(name, shape, generator, query_key_std):
    """A random weight for timm's name and shape, in float32, so that a file of float32 holds it exactly.

    Linear weights have std 1/√(in), those of q and k query_key_std times that; what the branches write into the
    residual stream is a quarter (attention) and half (MLP) of it, so that tokens stay different through all layers.
    Biases 0.2; LayerNorm weights 1 ± 0.2; positions 0.5; [CLS] 1.
    """
    weight = torch.randn(shape, generator=generator)
    if "norm" in name:
        return 0.2 * weight + name.endswith("weight")
    if name == "cls_token":
        return weight
    if name == "pos_embed":
        return 0.5 * weight
    if name.endswith("bias"):
        return 0.2 * weight
    weight /= math.sqrt(weight[0].numel())
    if name.endswith("qkv.weight"):
        weight[:2 * len(weight) // 3] *= query_key_std
    return weight * {"attn.proj.weight": 0.25, "mlp.fc2.weight": 0.5}.get(name.split(".", 2)[-1], 1)


class _Calls(TorchFunctionMode):
    """Notes what torch.cat returns and what softmax is given: the two steps that are no module of timm's."""

    def __init__(self):
        super().__init__()
        self.joined, self.scores = [], []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.cat:
            self.joined.append(result)
        if function is torch.Tensor.softmax:
            self.scores.append(args[0])
        return result


def run(model, images):
    """Logits of images (B, 3, H, W), and {minivit's name: tensor} of the steps that timm has."""
    steps, handles = {}, []

    def note(module, output=None, input=None, value=None):
        """Keep a module's output, first input, or their function `value`, under a name."""
        def hook(_, inputs, result):
            if input:
                steps[input] = inputs[0]
            if output:
                steps[output] = result if value is None else value(result)
        handles.append(module.register_forward_hook(hook))

    note(model.patch_embed, "patch_embedding")
    note(model.norm_pre, "embedded")
    for i, block in enumerate(model.blocks):
        at, attn = f"layer.{i}.", block.attn
        attn.fused_attn = False
        note(block.norm1, at + "norm1")
        note(attn.q_norm, at + "query")
        note(attn.k_norm, at + "key")
        note(attn.qkv, at + "value", value=lambda qkv, H=attn.num_heads:
             qkv.reshape(*qkv.shape[:2], 3, H, -1).permute(2, 0, 3, 1, 4)[2])
        note(attn.attn_drop, at + "attention")
        note(attn, at + "attended")
        note(block.norm2, at + "norm2", at + "residual1")
        note(block.mlp.act, at + "hidden")
        note(block.mlp, at + "mlp")
        note(block, at + "output")
    note(model.norm if model.global_pool == "token" else model.fc_norm, "norm")
    note(model.head, input="representation")

    with _Calls() as calls:
        logits = model(images)
    for handle in handles:
        handle.remove()
    if calls.joined:
        steps["tokens"] = calls.joined[0]
    steps |= {f"layer.{i}.scores": scores for i, scores in enumerate(calls.scores)}
    return logits, steps | {"logits": logits, "probabilities": logits.softmax(-1)}
