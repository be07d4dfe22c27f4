"""The relatives of timm and transformers, small, with peaked random weights: what each computes, by which name."""

import torch
from libraries import peaked

SIZE, PATCH, WIDTH, LAYERS, HEADS, MLP, CLASSES = (24, 32), 8, 24, 3, 3, 40, 5
SQUARE = {"image_size": 32, "patch_size": PATCH, "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
          "num_attention_heads": HEADS, "intermediate_size": MLP}


def drawn(module, seed=0):
    """Peaked weights as in `libraries`; and tokens, the latent and the maps of attention pooling that matter too."""
    peaked(module, WIDTH, seed)
    generator = torch.Generator().manual_seed(seed + 1)

    def normal(tensor, std):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std)

    with torch.no_grad():
        for name, tensor in module.named_parameters():
            tensor.requires_grad_()                             # MAE's positions too: their gradient is compared
            if name.endswith(("latent", "probe")):
                normal(tensor, 1.5)
            elif name.endswith(("dist_token", "distillation_token", "reg_token", "register_tokens")):
                normal(tensor, 1.0)
            elif "attn_pool.q.weight" in name or "attn_pool.kv.weight" in name or "head.attention.in_proj_w" in name:
                normal(tensor, 1.5 / WIDTH ** 0.5)
    return module.eval()


def timm_relative(kind="VisionTransformer", **options):
    from timm.models.deit import VisionTransformerDistilled
    from timm.models.vision_transformer import VisionTransformer
    made = {"VisionTransformer": VisionTransformer, "VisionTransformerDistilled": VisionTransformerDistilled}[kind]
    options = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": LAYERS, "num_heads": HEADS,
               "mlp_ratio": MLP / WIDTH, "num_classes": CLASSES, **options}
    return drawn(made(**options))


def clip_of_timm(**options):
    from functools import partial

    from torch.nn import LayerNorm
    return timm_relative(pre_norm=True, norm_layer=partial(LayerNorm, eps=1e-5), **options)


def giant_of_timm():
    from timm.layers import SwiGLUPacked
    return timm_relative(init_values=1e-5, mlp_layer=SwiGLUPacked, mlp_ratio=2 * MLP / WIDTH, act_layer=torch.nn.SiLU)


def quick_gelu():
    from timm.layers.activations import QuickGELU
    return QuickGELU


AVERAGE = {"global_pool": "avg"}
MAP = {"global_pool": "map", "class_token": False}
TIMM = {
    "DeiT distilled": lambda: timm_relative("VisionTransformerDistilled"),
    "DeiT distilled, no classes": lambda: timm_relative("VisionTransformerDistilled", num_classes=0),
    "DINOv2": lambda: timm_relative(init_values=1e-5),
    "DINOv2, no classes": lambda: timm_relative(init_values=1e-5, num_classes=0),
    "DINOv2 registers": lambda: timm_relative(init_values=1e-5, reg_tokens=4, no_embed_class=True),
    "DINOv2 giant": giant_of_timm,
    "DeiT III": lambda: timm_relative(init_values=1e-5, no_embed_class=True),
    "SigLIP": lambda: timm_relative(**MAP, num_classes=0, act_layer=lambda: torch.nn.GELU("tanh")),
    "SigLIP, classes": lambda: timm_relative(**MAP),
    "MAP beside [CLS]": lambda: timm_relative(global_pool="map"),
    "MAP of all tokens": lambda: timm_relative(global_pool="map", pool_include_prefix=True),
    "CLIP": clip_of_timm,
    "CLIP, QuickGELU": lambda: clip_of_timm(act_layer=quick_gelu()),
    "mean after the norm": lambda: timm_relative(**AVERAGE, fc_norm=False),
    "mean after the norm, all tokens": lambda: timm_relative(**AVERAGE, fc_norm=False, pool_include_prefix=True),
    "mean after the norm, no [CLS]": lambda: timm_relative(**AVERAGE, fc_norm=False, class_token=False),
    "mean before the norm": lambda: timm_relative(**AVERAGE),
    "mean before the norm, all tokens": lambda: timm_relative(**AVERAGE, pool_include_prefix=True),
    "mean before the norm, no [CLS]": lambda: timm_relative(**AVERAGE, class_token=False),
    "[CLS] under fc_norm": lambda: timm_relative(fc_norm=True),
    "registers and a mean": lambda: timm_relative(**AVERAGE, reg_tokens=2, no_embed_class=True),
    "no qkv bias": lambda: timm_relative(qkv_bias=False),
}


def small(name, config, **options):
    """A model of transformers, by its class and its config's."""
    import transformers
    made = getattr(transformers, config)(**SQUARE, **options)
    return drawn(getattr(transformers, name)(made))


def pair(name):
    """CLIP or SigLIP as a whole, with its text side."""
    import transformers
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
            "vocab_size": 20, "bos_token_id": 1, "eos_token_id": 2}
    options = {"projection_dim": CLASSES} if name == "CLIP" else {}
    text |= {} if name == "CLIP" else {"projection_size": WIDTH}
    config = getattr(transformers, f"{name}Config")(vision_config=SQUARE, text_config=text, **options)
    return drawn(getattr(transformers, f"{name}Model")(config))


def cls(module, x):
    return module(x).last_hidden_state[:, 0]


def mean(module, x):
    return module(x).last_hidden_state.mean(1)


def pooled(module, x):
    return module(x).pooler_output


def logits(module, x):
    return module(x).logits


def image_features(module, x):
    found = module.get_image_features(pixel_values=x)
    return getattr(found, "pooler_output", found)


# name: (how it is made, what it computes of images)
TRANSFORMERS = {
    "Dinov2Model": (lambda: small("Dinov2Model", "Dinov2Config", mlp_ratio=2), cls),
    "Dinov2Model, SwiGLU": (lambda: small("Dinov2Model", "Dinov2Config", mlp_ratio=2, use_swiglu_ffn=True), cls),
    "Dinov2WithRegistersModel": (lambda: small("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig",
                                               mlp_ratio=2), cls),
    "DeiTModel": (lambda: small("DeiTModel", "DeiTConfig"), cls),
    "DeiTForImageClassification": (lambda: small("DeiTForImageClassification", "DeiTConfig", num_labels=CLASSES),
                                   logits),
    "DeiTForImageClassificationWithTeacher": (
        lambda: small("DeiTForImageClassificationWithTeacher", "DeiTConfig", num_labels=CLASSES), logits),
    "SiglipVisionModel": (lambda: small("SiglipVisionModel", "SiglipVisionConfig"), pooled),
    "CLIPVisionModel": (lambda: small("CLIPVisionModel", "CLIPVisionConfig"), pooled),
    "CLIPVisionModel, erf": (lambda: small("CLIPVisionModel", "CLIPVisionConfig", hidden_act="gelu"), pooled),
    "CLIPVisionModelWithProjection": (
        lambda: small("CLIPVisionModelWithProjection", "CLIPVisionConfig", projection_dim=CLASSES),
        lambda module, x: module(x).image_embeds),
    "ViTMAEModel": (lambda: small("ViTMAEModel", "ViTMAEConfig", mask_ratio=0.0), cls),
    "ViTMAEForPreTraining": (
        lambda: small("ViTMAEForPreTraining", "ViTMAEConfig", mask_ratio=0.0, decoder_hidden_size=16,
                      decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=16),
        lambda module, x: cls(module.vit, x)),
    "IJepaModel": (lambda: small("IJepaModel", "IJepaConfig"), mean),
    "IJepaForImageClassification": (lambda: small("IJepaForImageClassification", "IJepaConfig", num_labels=CLASSES),
                                    logits),
    "SiglipModel": (lambda: pair("Siglip"), image_features),
    "CLIPModel": (lambda: pair("CLIP"), image_features),
}
