"""OpenAI's names of CLIP's vision tower, which open_clip has too; `towers` brings its tensors into shape before.

Nothing in the file tells GELU's form: OpenAI's weights have the quick one, those of LAION the erf form.
"""

from dataclasses import replace

from ..errors import CheckpointError
from ..images.preparation import FILTERS
from . import json_values, module_settings
from .families import CLIP
from .naming import expand
from .pytorch_layout import file_shape, patch_size, to_ours  # noqa: F401 - part of a format's interface

NAME = "OpenAI's CLIP"
RESAMPLE = "timm"
IGNORED = {}
BEFORE_HEAD = None
HEAD = r"(visual\.)?proj\."
RESIZES = {"shortest": "crop", "squash": "stretch"}         # by open_clip's resize_mode; "longest" pads

NAMES = {
    "cls_token": "class_embedding",
    "pos_embed": "positional_embedding",
    "patch_embed.proj": "conv1.",
    "norm_pre": "ln_pre.",
    "norm": "ln_post.",
    "head": "proj.",
}
LAYER = {
    "norm1": "transformer.resblocks.{i}.ln_1.",
    "attn.qkv": "transformer.resblocks.{i}.attn.in_proj_",
    "attn.proj": "transformer.resblocks.{i}.attn.out_proj.",
    "ls1": "transformer.resblocks.{i}.ls_1.",
    "norm2": "transformer.resblocks.{i}.ln_2.",
    "mlp.fc1": "transformer.resblocks.{i}.mlp.c_fc.",
    "mlp.fc2": "transformer.resblocks.{i}.mlp.c_proj.",
    "ls2": "transformer.resblocks.{i}.ls_2.",
}


def matches(names):
    """Whether these are OpenAI's names."""
    return any(name.removeprefix("visual.") == "class_embedding" for name in names)


def name_map(names):
    """{minivit's name: (OpenAI's,)}."""
    prefix = "visual." if any(name.startswith("visual.") for name in names) else ""
    table, layer = ({ours: prefix + theirs for ours, theirs in rows.items()} for rows in (NAMES, LAYER))
    return expand(table, layer, prefix.replace(".", r"\.") + r"transformer\.resblocks\.(\d+)\.", names)


def cls_row(source):
    """The table of positions has a row for [CLS]."""
    return True


def settings(source, sizes, places):
    """What the convention, or a module, says: (fields of ViTConfig, labels). Raises CheckpointError."""
    if source.module is None:
        source.assumed.append("layer_norm_eps=1e-5 as in CLIP")
        source.assumed.append('gelu="quick", as OpenAI\'s weights have it (those of LAION have "erf")')
        return {"layer_norm_eps": 1e-5, "gelu": "quick"}, None
    tower = _tower(source.module)
    pool = "avg" if getattr(tower, "global_average_pool", False) else getattr(tower, "pool_type", "tok")
    if pool != "tok":
        raise CheckpointError(f"{source.label} is read out by pool_type {str(pool)[:40]!r}, expected 'tok': "
                              "minivit reads [CLS] of CLIP's vision tower")
    layers = list(tower.transformer.resblocks)
    norms = [norm for layer in layers for norm in (layer.ln_1, layer.ln_2)] + [tower.ln_pre, tower.ln_post]
    return {
        "num_heads": module_settings.same((layer.attn.num_heads for layer in layers), "num_heads"),
        "layer_norm_eps": module_settings.same_eps(norms),
        "gelu": module_settings.same((module_settings.gelu_form(layer.mlp.gelu) for layer in layers), "GELU"),
    }, None


def _tower(module):
    return getattr(module, "visual", module)


def preprocessing(source, config):
    """What open_clip's tower says, else CLIP's: the shorter side scaled to the size, the centre cut."""
    where, tower = f"{source.label}: its preprocess_cfg", _tower(source.module)
    about = dict(getattr(tower, "preprocess_cfg", None) or {
        "mean": getattr(tower, "image_mean", None), "std": getattr(tower, "image_std", None)})
    mean, std = (json_values.colours(about, name, where) for name in ("mean", "std"))
    if mean is None or std is None:
        return CLIP.told(source)
    if "resize_mode" not in about:
        source.assumed.append("resizing as CLIP has it (the shorter side to the size, the centre cut, bicubic)")
    mode = json_values.text(about, "resize_mode", where, "shortest")
    interpolation = json_values.text(about, "interpolation", where, "bicubic").replace("random", "bicubic")
    if mode not in RESIZES or interpolation not in FILTERS:
        raise CheckpointError(f"{where}: resize_mode {mode[:60]!r} with {interpolation[:60]!r}, expected one of "
                              f"{', '.join(RESIZES)} and of {', '.join(FILTERS)}: give preprocessing=…")
    return replace(CLIP.preprocessing, mean=mean, std=std, resize=RESIZES[mode], interpolation=interpolation)
