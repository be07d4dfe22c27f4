"""DINOv2's own names, which are timm's but for the registers, SwiGLU's linear maps, and layers kept in groups.

Its gated MLP is w12, the gate before what it lets through, and w3. Positions stand for [CLS] and the patches.
"""

import re

from .families import DINOV2
from .naming import expand
from .pytorch_layout import file_shape, patch_size, to_ours  # noqa: F401 - part of a format's interface
from .timm import BEFORE_HEAD, HEAD, IGNORED, LAYER, NAMES  # noqa: F401 - the same here

NAME = "DINOv2"
RESAMPLE = "dino"
CHUNKED = re.compile(r"blocks\.(\d+)\.(\d+)\.")
REGISTERS = "register_tokens"


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
    """The table of positions has a row for [CLS]."""
    return True


def settings(source, sizes, places):
    """What the convention says: (fields of ViTConfig, labels)."""
    source.assumed.append("layer_norm_eps=1e-6 as in DINOv2")
    return {"layer_norm_eps": 1e-6, "gelu": "erf"}, None


def preprocessing(source, config):
    """DINOv2's evaluation: ImageNet's mean and standard deviation, the shorter side 256 for 224 pixels."""
    return DINOV2.told(source)
