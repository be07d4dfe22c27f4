"""Hugging Face's weights: what config.json, or a module's config, says of them; hugging_face_names.py has the names.

q, k and v are three linear maps. hugging_face_kinds.py has what a kind of model means where its config.json is silent.
"""

from ..errors import CheckpointError
from ..images.preparation import Preprocessing
from . import hugging_face_images, json_values
from .hugging_face_kinds import KINDS, TOWERS, kind_of_tensors, parts_of
from .hugging_face_names import HEAD, name_map  # noqa: F401 - part of a format's interface
from .module_settings import check_head, same_eps
from .pytorch_layout import file_shape, patch_size, to_ours  # noqa: F401 - part of a format's interface
from .timm_settings import beside_decoder, told_as_fixed

NAME = "Hugging Face"
RESAMPLE = "hugging_face"
SIGNS = ("embeddings.patch_embeddings.projection.", "layernorm_before.", "embeddings.position_embeddings",
         "embeddings.patch_embedding.")
TEXT = "the text side of a pair of towers"
IGNORED = {r"(.*\.)?pooler\.": "the pooler is a further layer on [CLS], which the plain ViT has not",
           r"(.*\.)?embeddings\.mask_token$": "the mask token serves masked pre-training alone",
           r"text_model\.|text_projection\.|logit_(scale|bias)$": TEXT,
           r"(.*\.)?embeddings\.position_ids$": "the positions' numbers, which are their order"}
BEFORE_HEAD = None

GELU_FORMS = {"gelu": "erf", "gelu_python": "erf", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh",
              "gelu_python_tanh": "tanh", "gelu_accurate": "tanh", "quick_gelu": "quick"}
HEADS = 12                          # of every one of these configs, where it does not say
PARTS = ("encoder", "vision_config", "backbone_config")     # where a config of several models keeps the ViT's


def matches(names):
    """Whether these are Hugging Face's names."""
    return any(sign in name for name in names for sign in SIGNS)


def cls_row(source):
    """The table of positions has a row for [CLS]."""
    return True


def settings(source, sizes, places):
    """What config.json, or a module's config, says, else the convention: (fields of ViTConfig, labels)."""
    for head in ("classifier", "cls_classifier", "distillation_classifier"):
        if source.module is not None and hasattr(source.module, head):
            check_head(getattr(source.module, head))
    read_out = {"pool": "distilled"} if "head_dist.weight" in places else {}
    config = _config(source)
    if config is None:
        return read_out | _convention(source, sizes), None
    where = f"{source.label}: config.json" if source.module is None else f"{source.label}: its config"
    model_type = config["model_type"]
    _check_sizes(source, config, sizes)
    eps = json_values.number(config, "layer_norm_eps", where, KINDS[model_type].eps)
    if source.module is not None:
        norms = [part for part in source.module.modules() if "Norm" in type(part).__name__]
        if same_eps(norms) != eps:
            raise CheckpointError(f"{where} has layer_norm_eps {eps}, its norms {norms[0].eps}: make them agree")
    activation = json_values.text(config, "hidden_act", where, KINDS[model_type].hidden_act)
    if activation not in GELU_FORMS:
        raise CheckpointError(f"{where}: hidden_act {activation[:60]!r} is no GELU that minivit has: "
                              f"{', '.join(GELU_FORMS)}")
    fields = {"layer_norm_eps": eps, "gelu": GELU_FORMS[activation],
              "num_heads": json_values.whole(config, "num_attention_heads", where, HEADS)}
    fields |= parts_of(config, model_type, where)
    if model_type == "vit_mae":
        fields["position"] = "fixed"
    size = _made_size(source) if resamples(source) else json_values.sides(config, "image_size", where, 224)
    if config.get("problem_type") == "multi_label_classification":
        source.assumed.append("one answer an image, though config.json says multi_label_classification: its "
                              "probabilities are sigmoids of the logits, minivit's a softmax")
    return read_out | fields | {"image_size": size}, _labels(config.get("id2label"), sizes["num_classes"])


def resamples(source):
    """Whether the images are made of another size than the positions have: DINOv2's always are, and transformers
    resamples its positions.
    """
    config = _config(source)
    return bool(source.module is None and config and config["model_type"].startswith("dinov2") and _made_size(source))


def _made_size(source):
    """The image size that preprocessor_config.json makes, or None."""
    about = source.settings.get("preprocessor_config.json")
    return about and hugging_face_images.made_size(about, f"{source.label}: preprocessor_config.json",
                                                   KINDS[_config(source)["model_type"]].processor)


def _convention(source, sizes):
    """The fields of a file without a config.json, by what its tensors show of the family."""
    kind = KINDS[kind_of_tensors(source, sizes)]
    eps, gelu = kind.eps, GELU_FORMS[kind.hidden_act]
    but = " (ViT-MSN's has 1e-6)" if kind.name == "ViT" else ""
    source.assumed.append(f"layer_norm_eps={eps} as in {kind.name}'s configuration{but}")
    if gelu != "erf":
        source.assumed.append(f'gelu="{gelu}" as in {kind.name}\'s configuration')
    fixed = {"position": told_as_fixed(source)} if beside_decoder(source) else {}
    return fixed | {"layer_norm_eps": eps, "gelu": gelu}


def _config(source):
    """The configuration of the ViT among what the source says, or None where it says nothing of that kind."""
    if source.module is not None:
        config = getattr(source.module, "config", None)
        config = config.to_dict() if hasattr(config, "to_dict") else None
    else:
        config = source.settings.get("config.json")
    if config and config.get("model_type") in TOWERS and isinstance(config.get("vision_config"), dict):
        return {"model_type": TOWERS[config["model_type"]]} | config["vision_config"]
    if config and config.get("model_type") not in KINDS:
        part = next((config[name] for name in PARTS if isinstance(config.get(name), dict)
                     and config[name].get("model_type") in KINDS), None)
        if part is None:
            found = str(config.get("model_type"))[:60]
            raise CheckpointError(f"{source.label}: its config.json has model_type {found!r}, expected one of "
                                  f"{', '.join(KINDS)}")
        return part
    return config or None


def preprocessing(source, config):
    """preprocessor_config.json's, else the defaults of the family's processor. Raises CheckpointError."""
    about, said = source.settings.get("preprocessor_config.json"), _config(source)
    kind = KINDS[said["model_type"] if said else kind_of_tensors(source, vars(config))]
    if about is not None:
        if said is None and not hugging_face_images.names_its_class(about):
            source.assumed.append(f"{kind.processor}ImageProcessor, as of {kind.name}'s images")
        return hugging_face_images.preprocessing(about, f"{source.label}: preprocessor_config.json",
                                                 config.height_width, kind.processor)
    if kind.family is not None:
        return kind.family.told(source)
    source.assumed.append("preprocessing as ViTImageProcessor's defaults have it")
    return Preprocessing(resize="stretch", crop_fraction=1.0, interpolation="bilinear")


def _check_sizes(source, config, sizes):
    for theirs, ours in (("hidden_size", "width"), ("num_hidden_layers", "num_layers"),
                         ("intermediate_size", "mlp_width"), ("patch_size", "patch_size")):
        if theirs == "intermediate_size" and config["model_type"].startswith("dinov2"):
            continue                    # DINOv2's MLP width is told by mlp_ratio
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
