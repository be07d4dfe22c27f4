"""DINOv2's own names, which are timm's but for the registers, SwiGLU's linear maps, and layers kept in groups.

Its gated MLP is w12, the gate before what it lets through, and w3. Positions stand for [CLS] and the patches.
"""

import re

from . import module_settings, timm_settings
from .families import DINOV2
from .naming import expand
from .pytorch_layout import file_shape, patch_size, to_ours  # noqa: F401 - part of a format's interface
from .timm import BEFORE_HEAD, HEAD, IGNORED, LAYER, NAMES  # noqa: F401 - the same here

NAME = "DINOv2"
RESAMPLE = "dino"
CHUNKED = re.compile(r"blocks\.(\d+)\.(\d+)\.")
REGISTERS = "register_tokens"
CONVENTION = {"layer_norm_eps": 1e-6, "gelu": "erf"}


def matches(names):
    """Whether these are DINOv2's names: timm's files have no mask token."""
    layer_scale = any(name.endswith(".ls1.gamma") for name in names)
    return any(name.startswith("blocks.") for name in names) and (
        REGISTERS in names or any(".mlp.w12." in name for name in names)
        or any(CHUNKED.match(name) for name in names) or (layer_scale and any(n.endswith("mask_token") for n in names)))


def name_map(names):
    """{minivit's name: (DINOv2's,)}. blocks.C.N is layer N, in group C."""
    gated = {"mlp.fc1": "blocks.{i}.mlp.w12.", "mlp.fc2": "blocks.{i}.mlp.w3."}
    layer = LAYER | (gated if any(".mlp.w12." in name for name in names) else {})
    groups = {match[2]: match[1] for name in names if (match := CHUNKED.match(name))}
    if not groups:
        return expand(NAMES | {"reg_token": REGISTERS}, layer, r"blocks\.(\d+)\.", names)
    places = expand(NAMES | {"reg_token": REGISTERS}, layer, CHUNKED.pattern.replace(r"(\d+)", r"\d+", 1), names)
    return {ours: tuple(re.sub(r"^blocks\.(\d+)\.", lambda m: f"blocks.{groups.get(m[1], '0')}.{m[1]}.", name)
                        for name in theirs) for ours, theirs in places.items()}


def cls_row(source):
    """The table of positions has a row for [CLS], but for some of timm's modules."""
    return timm_settings.cls_row(source) if _is_timms(source.module) else True


def settings(source, sizes, places):
    """What the convention, or a module, says: (fields of ViTConfig, labels). Raises CheckpointError."""
    if _is_timms(source.module):
        return timm_settings.settings(source, sizes, places)
    if source.module is not None:
        return CONVENTION | _of_module(source.module, source, sizes), None
    source.assumed.append("layer_norm_eps=1e-6 as in DINOv2")
    return CONVENTION, None


def _is_timms(module):
    """Whether it is a module of timm's after all, which a mask token beside it gives DINOv2's names."""
    return type(module).__module__.startswith("timm.")


def _of_module(module, source, sizes):
    """Fields of a DinoVisionTransformer. Its SwiGLU has no activation to look at: its class says what it computes."""
    layers = [layer for part in module.blocks for layer in (part if hasattr(part, "__iter__") else [part])
              if hasattr(layer, "attn")]                # a group's places for the layers before it hold nn.Identity
    attentions, mlps = [layer.attn for layer in layers], [layer.mlp for layer in layers]
    heads = module_settings.same((attention.num_heads for attention in attentions), "num_heads")
    module_settings.check_scale(attentions, sizes["width"] / heads)
    others = dict.fromkeys(type(part).__name__ for part in (module, *layers, *attentions, *mlps)
                           if not type(part).__module__.startswith("dinov2."))
    if others:
        source.assumed.append(f"that {', '.join(others)} compute as DINOv2's own code does"
                              f"{', SwiGLU with the gate first' * sizes['gated_mlp']}")
    if sizes["gated_mlp"]:
        module_settings.check_swiglu(mlps)
    if getattr(module, "head", None) is not None:
        module_settings.check_head(module.head)
    norms = [norm for layer in layers for norm in (layer.norm1, layer.norm2)] + [module.norm]
    gelu = {} if sizes["gated_mlp"] else {
        "gelu": module_settings.same((module_settings.gelu_form(mlp.act) for mlp in mlps), "GELU")}
    return {"num_heads": heads, "layer_norm_eps": module_settings.same_eps(norms), **gelu}


def preprocessing(source, config):
    """DINOv2's evaluation: ImageNet's mean and standard deviation, the shorter side 256 for 224 pixels."""
    return timm_settings.preprocessing(source, config) if _is_timms(source.module) else DINOV2.told(source)
