"""Where the steps of the trace are in the modules of timm, transformers and torchvision, and hooks that keep them."""

import re

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


def hooks(module, form, record, watch):
    """Register hooks that fill record; yields their handles."""
    modules = dict(module.named_modules())
    table, layer_table = {"timm": (TIMM, TIMM_LAYER), "Hugging Face": (HUGGING_FACE, HUGGING_FACE_LAYER),
                          "torchvision": (TORCHVISION, TORCHVISION_LAYER)}[form]
    prefix = "vit." if "vit.embeddings" in modules else ""
    if form == "timm" and hasattr(getattr(module, "fc_norm", None), "weight"):
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
        record.setdefault(step, _as_sequence(value, module) if step == "patch_embedding" else value)
    if side == IN:
        return module.register_forward_pre_hook(lambda module, args: keep(args))
    return module.register_forward_hook(lambda module, args, output: keep(output))


def _as_sequence(patches, module):
    """(B, N, D) of patches that stand in their grid: timm's with D last (dynamic_img_size), others' with D first."""
    if patches.ndim != 4:
        return patches
    D = next(p.shape[0] for p in module.parameters() if p.ndim == 4)
    last = patches.shape[-1] == D and (patches.shape[1] != D or getattr(module, "output_fmt", None) is not None)
    return patches.flatten(1, 2) if last else patches.flatten(2).transpose(1, 2)
