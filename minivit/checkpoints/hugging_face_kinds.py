"""What a model_type at Hugging Face means where its config.json, or its processor's file, is silent: the defaults."""

from dataclasses import dataclass, replace

from . import json_values
from .families import CLIP, DEIT, DINOV2, MAE, SIGLIP, Family
from .hugging_face_names import is_tower
from .timm_settings import beside_decoder

TOWERS = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}


@dataclass(frozen=True)
class Kind:
    """A model_type: its name in messages, LayerNorm's eps, the class of its images' processor, its family of images.

    family: None for ViT's own. hidden_act: Hugging Face's name of the activation.
    """

    name: str
    eps: float
    processor: str = "ViT"
    family: Family | None = None
    hidden_act: str = "gelu"


def _centred(family, **changes):
    """The family with transformers' centre, which falls up and left of a half."""
    return replace(family, preprocessing=replace(family.preprocessing, crop_offset="floor", **changes))


DINO = {"eps": 1e-6, "processor": "Bit", "family": _centred(DINOV2)}
KINDS = {
    "vit": Kind("ViT", 1e-12),
    "vit_mae": Kind("ViT-MAE", 1e-12, family=MAE),
    "deit": Kind("DeiT", 1e-12, "DeiT", _centred(DEIT, resize="stretch_crop")),     # 256 x 256, of which 224 x 224
    "ijepa": Kind("I-JEPA", 1e-12),
    "vit_msn": Kind("ViT-MSN", 1e-6),
    "dinov2": Kind("DINOv2", **DINO),
    "dinov2_with_registers": Kind("DINOv2", **DINO),
    "clip_vision_model": Kind("CLIP", 1e-5, "CLIP", _centred(CLIP), "quick_gelu"),
    "siglip_vision_model": Kind("SigLIP", 1e-6, "Siglip", SIGLIP, "gelu_pytorch_tanh"),
}
REGISTERS = 4                       # of dinov2_with_registers


def kind_of_tensors(source, parts):
    """The model_type that the tensors show. parts: fields of ViTConfig."""
    if is_tower(source.shapes):
        return TOWERS["clip" if parts["class_token"] else "siglip"]
    if parts["layer_scale"]:
        return "dinov2"
    return "deit" if parts["dist_token"] else "vit_mae" if beside_decoder(source) else "vit"


def parts_of(config, model_type, where):
    """The parts that a model of this config.json has, or has not, as fields of ViTConfig. Raises CheckpointError."""
    dino, registers = model_type.startswith("dinov2"), 0
    if model_type == "dinov2_with_registers" and config.get("num_register_tokens") != 0:
        registers = json_values.whole(config, "num_register_tokens", where, REGISTERS)
    bias = model_type in TOWERS.values() or json_values.truth(config, "qkv_bias", where, True)
    gated = dino and json_values.truth(config, "use_swiglu_ffn", where, False)
    return {"qkv_bias": bias, "registers": registers, "layer_scale": dino, "gated_mlp": gated}
