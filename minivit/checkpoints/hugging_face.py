"""Hugging Face's names: ViTForImageClassification ("vit." before each name) and ViTModel (no prefix).

Files have the spelling of transformers up to version 4; modules in memory have that of version 5. eps is 1e-12 where no
config.json says otherwise; q, k and v are three linear maps.
"""

import re

from ..errors import CheckpointError
from ..images.preparation import Preprocessing
from .naming import expand
from .pytorch_layout import file_shape, patch_size, to_ours  # noqa: F401 - part of a format's interface

NAME = "Hugging Face"
RESAMPLE = "hugging_face"
SIGNS = ("embeddings.patch_embeddings.projection.", "layernorm_before.", "embeddings.position_embeddings")
IGNORED = {r"(.*\.)?pooler\.": "the pooler is a further layer on [CLS], which the plain ViT has not",
           r"(.*\.)?embeddings\.mask_token$": "the mask token serves masked pre-training alone"}
BEFORE_HEAD = None

NAMES = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection.",
    "norm": "layernorm.",
}
HEAD = {"head": "classifier."}
LAYER_4 = {
    "norm1": "encoder.layer.{i}.layernorm_before.",
    "attn.qkv": tuple(f"encoder.layer.{{i}}.attention.attention.{part}." for part in ("query", "key", "value")),
    "attn.proj": "encoder.layer.{i}.attention.output.dense.",
    "norm2": "encoder.layer.{i}.layernorm_after.",
    "mlp.fc1": "encoder.layer.{i}.intermediate.dense.",
    "mlp.fc2": "encoder.layer.{i}.output.dense.",
}
LAYER_5 = {
    "norm1": "layers.{i}.layernorm_before.",
    "attn.qkv": tuple(f"layers.{{i}}.attention.{part}_proj." for part in "qkv"),
    "attn.proj": "layers.{i}.attention.o_proj.",
    "norm2": "layers.{i}.layernorm_after.",
    "mlp.fc1": "layers.{i}.mlp.fc1.",
    "mlp.fc2": "layers.{i}.mlp.fc2.",
}
GELU_FORMS = {"gelu": "erf", "gelu_python": "erf", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def matches(names):
    """Whether these are Hugging Face's names."""
    return any(sign in name for name in names for sign in SIGNS)


def name_map(names):
    """{minivit's name: (Hugging Face's, …)}."""
    places = (match[1] for name in names if (match := re.match(r"(.*?)embeddings\.", name)))
    prefix = next(places, "vit.")
    layer = LAYER_4 if any(".attention.attention." in name for name in names) else LAYER_5
    pattern = re.escape(prefix) + next(iter(layer.values())).split("{i}")[0].replace(".", r"\.") + r"(\d+)\."
    return expand({ours: prefix + theirs for ours, theirs in NAMES.items()} | HEAD,
                  {ours: tuple(prefix + t for t in theirs) if isinstance(theirs, tuple) else prefix + theirs
                   for ours, theirs in layer.items()}, pattern, names)


def settings(source, sizes):
    """What the JSON files beside the weights or the convention say: (fields of ViTConfig, Preprocessing, labels)."""
    config = source.module.config.to_dict() if source.module is not None else source.settings.get("config.json")
    if config is None or config.get("model_type") != "vit":
        return {"layer_norm_eps": 1e-12, "gelu": "erf"}, _preprocessing({}), None
    _check_sizes(source, config, sizes)
    activation = config.get("hidden_act", "gelu")
    if activation not in GELU_FORMS:
        raise CheckpointError(f"{source.label}: hidden_act {activation!r} is no GELU; minivit has "
                              f"{', '.join(GELU_FORMS)}")
    fields = {"layer_norm_eps": config.get("layer_norm_eps", 1e-12), "gelu": GELU_FORMS[activation]}
    if "num_attention_heads" in config:
        fields["num_heads"] = config["num_attention_heads"]
    if "image_size" in config:
        size = config["image_size"]
        fields["image_size"] = tuple(size) if isinstance(size, list) else size
    labels = _labels(config.get("id2label"), sizes["num_classes"])
    return fields, _preprocessing(source.settings.get("preprocessor_config.json", {})), labels


def _check_sizes(source, config, sizes):
    for theirs, ours in (("hidden_size", "width"), ("num_hidden_layers", "num_layers"),
                         ("intermediate_size", "mlp_width"), ("patch_size", "patch_size")):
        if theirs in config and config[theirs] != sizes[ours]:
            raise CheckpointError(f"{source.label}: config.json has {theirs} {config[theirs]!r}, the weights "
                                  f"{sizes[ours]}: they do not belong together")


def _labels(id2label, num_classes):
    """The classes' names in order, or None where there are none or only LABEL_0, LABEL_1, …"""
    if not isinstance(id2label, dict) or len(id2label) != num_classes:
        return None
    by_number = {int(k): str(label) for k, label in id2label.items() if str(k).isdigit()}
    if set(by_number) != set(range(num_classes)) or all(by_number[k] == f"LABEL_{k}" for k in by_number):
        return None
    return [by_number[k] for k in range(num_classes)]


def _preprocessing(about):
    """Preprocessing from preprocessor_config.json; from the image processor's defaults where it says nothing."""
    size = about.get("size", {})
    crop, covered = about.get("crop_size"), size.get("shortest_edge") if isinstance(size, dict) else None
    fraction = 1.0
    if about.get("do_center_crop") and isinstance(crop, dict) and covered:
        fraction = min(crop.get("height", covered) / covered, 1.0)
    return Preprocessing(mean=tuple(about.get("image_mean", (0.5, 0.5, 0.5))),
                         std=tuple(about.get("image_std", (0.5, 0.5, 0.5))),
                         resize="crop" if covered else "stretch", crop_fraction=fraction,
                         interpolation=FILTERS.get(about.get("resample", 2), "bilinear"))
