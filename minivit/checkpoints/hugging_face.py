"""Hugging Face's names: ViTForImageClassification ("vit." before each name) and ViTModel (no prefix).

Files have the spelling of transformers up to version 4; modules in memory have that of version 5. eps is 1e-12 where no
config.json says otherwise; q, k and v are three linear maps.
"""

import re

from ..errors import CheckpointError
from ..images.preparation import Preprocessing
from . import hugging_face_images, json_values
from .module_settings import check_head, same_eps
from .naming import expand, head_stem
from .pytorch_layout import file_shape, patch_size, to_ours  # noqa: F401 - part of a format's interface

NAME = "Hugging Face"
RESAMPLE = "hugging_face"
SIGNS = ("embeddings.patch_embeddings.projection.", "layernorm_before.", "embeddings.position_embeddings")
IGNORED = {r"(.*\.)?pooler\.": "the pooler is a further layer on [CLS], which the plain ViT has not",
           r"(.*\.)?embeddings\.mask_token$": "the mask token serves masked pre-training alone"}
BEFORE_HEAD = None
HEAD = r"classifier\.(\d+\.)?"

NAMES = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection.",
    "norm": "layernorm.",
}
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
GELU_FORMS = {"gelu": "erf", "gelu_python": "erf", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh",
              "gelu_python_tanh": "tanh", "gelu_accurate": "tanh"}
EPS = {"vit": 1e-12, "vit_mae": 1e-12, "deit": 1e-12, "ijepa": 1e-12, "vit_msn": 1e-6}     # by model_type
HEADS = 12                          # of every one of these configs, where it does not say
PARTS = ("encoder", "vision_config", "backbone_config")     # where a config of several models keeps the ViT's


def matches(names):
    """Whether these are Hugging Face's names."""
    return any(sign in name for name in names for sign in SIGNS)


def name_map(names):
    """{minivit's name: (Hugging Face's, …)}.

    save_pretrained of a ViTMSNForImageClassification leaves the prefix of its layers out (transformers 5.24).
    """
    prefix = next((match[1] for name in names if (match := re.match(r"(.*?)embeddings\.", name))), "vit.")
    layer = LAYER_4 if any("attention.attention." in name for name in names) else LAYER_5
    pattern = next(iter(layer.values())).split("{i}")[0].replace(".", r"\.") + r"(\d+)\."
    if not any(re.match(pattern, name) for name in names):
        pattern = re.escape(prefix) + pattern
        layer = {ours: tuple(prefix + t for t in theirs) if isinstance(theirs, tuple) else prefix + theirs
                 for ours, theirs in layer.items()}
    head = {"head": head_stem(names, HEAD) or "classifier."}
    return expand({ours: prefix + theirs for ours, theirs in NAMES.items()} | head, layer, pattern, names)


def cls_row(source):
    """The table of positions has a row for [CLS]."""
    return True


def settings(source, sizes, places):
    """What config.json, or a module's config, says, else the convention: (fields of ViTConfig, labels)."""
    if source.module is not None and hasattr(source.module, "classifier"):
        check_head(source.module.classifier)
    config = _config(source)
    if config is None:
        source.assumed.append("layer_norm_eps=1e-12 as in ViT's configuration (ViT-MSN's has 1e-6)")
        return {"layer_norm_eps": 1e-12, "gelu": "erf"}, None
    where = f"{source.label}: config.json" if source.module is None else f"{source.label}: its config"
    _check_sizes(source, config, sizes)
    eps = json_values.number(config, "layer_norm_eps", where, EPS[config["model_type"]])
    if source.module is not None:
        norms = [part for part in source.module.modules() if "Norm" in type(part).__name__]
        if same_eps(norms) != eps:
            raise CheckpointError(f"{where} has layer_norm_eps {eps}, its norms {norms[0].eps}: make them agree")
    activation = json_values.text(config, "hidden_act", where, "gelu")
    if activation not in GELU_FORMS:
        raise CheckpointError(f"{where}: hidden_act {activation[:60]!r} is no GELU that minivit has: "
                              f"{', '.join(GELU_FORMS)}")
    fields = {"layer_norm_eps": eps, "gelu": GELU_FORMS[activation],
              "num_heads": json_values.whole(config, "num_attention_heads", where, HEADS)}
    size = json_values.sides(config, "image_size", where, 224)
    if config.get("problem_type") == "multi_label_classification":
        source.assumed.append("one answer an image, though config.json says multi_label_classification: its "
                              "probabilities are sigmoids of the logits, minivit's a softmax")
    return fields | {"image_size": size}, _labels(config.get("id2label"), sizes["num_classes"])


def _config(source):
    """The configuration of the ViT among what the source says, or None where it says nothing of that kind."""
    if source.module is not None:
        config = getattr(source.module, "config", None)
        config = config.to_dict() if hasattr(config, "to_dict") else None
    else:
        config = source.settings.get("config.json")
    if config and config.get("model_type") not in EPS:
        part = next((config[name] for name in PARTS if isinstance(config.get(name), dict)
                     and config[name].get("model_type") in EPS), None)
        if part is None:
            found = str(config.get("model_type"))[:60]
            raise CheckpointError(f"{source.label}: its config.json has model_type {found!r}, expected one of "
                                  f"{', '.join(EPS)}")
        return part
    return config or None


def preprocessing(source, config):
    """preprocessor_config.json's, else ViTImageProcessor's defaults. Raises CheckpointError."""
    about = source.settings.get("preprocessor_config.json")
    if about is None:
        source.assumed.append("preprocessing as ViTImageProcessor's defaults have it")
        return Preprocessing(resize="stretch", crop_fraction=1.0, interpolation="bilinear")
    return hugging_face_images.preprocessing(about, f"{source.label}: preprocessor_config.json", config.height_width)


def _check_sizes(source, config, sizes):
    for theirs, ours in (("hidden_size", "width"), ("num_hidden_layers", "num_layers"),
                         ("intermediate_size", "mlp_width"), ("patch_size", "patch_size")):
        if theirs in config and config[theirs] not in (sizes[ours], [sizes[ours]] * 2):
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
