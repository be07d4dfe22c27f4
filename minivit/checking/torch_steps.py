"""Where the steps of the trace are in the modules of timm, transformers and torchvision, and hooks that keep them."""

import re

IN, OUT = "in", "out"

# {step: (module, which side of it)}; of several modules, the first that there is.
TIMM = {"patch_embedding": ("patch_embed", OUT), "embedded": ("blocks.0", IN), "norm": ("norm", OUT),
        "representation": ("head", IN), "logits": ("head", OUT),
        "pool.attended": ("attn_pool.proj", OUT), "pool.norm": ("attn_pool.norm", OUT),
        "pool.hidden": ("attn_pool.mlp.fc2", IN), "pool.mlp": ("attn_pool.mlp.fc2", OUT)}
TIMM_LAYER = {"norm1": ("norm1", OUT), "attended": ("attn.proj", OUT), "residual1": ("norm2", IN),
              "norm2": ("norm2", OUT), "hidden": ("mlp.fc2", IN), "mlp": ("mlp.fc2", OUT), "output": ("", OUT),
              "attended_scaled": ("ls1", OUT), "mlp_scaled": ("ls2", OUT)}
# ViT and DeiT, DINOv2, then CLIP and SigLIP.
HUGGING_FACE = {"patch_embedding": (("embeddings.patch_embeddings", "embeddings.patch_embedding"), OUT),
                "embedded": ("embeddings", OUT), "norm": (("layernorm", "post_layernorm"), OUT),
                "representation": ("classifier", IN), "logits": ("classifier", OUT),
                "pool.attended": ("head.attention", OUT), "pool.norm": ("head.layernorm", OUT),
                "pool.hidden": ("head.mlp.fc2", IN), "pool.mlp": ("head.mlp.fc2", OUT)}
FIRST, SECOND = ("layernorm_before", "norm1", "layer_norm1"), ("layernorm_after", "norm2", "layer_norm2")
LAST_MAP = ("mlp.fc2", "output.dense", "mlp.weights_out", "mlp.down_proj")
HUGGING_FACE_LAYER = {"norm1": (FIRST, OUT),
                      "attended": (("attention.o_proj", "attention.output.dense", "self_attn.out_proj"), OUT),
                      "residual1": (SECOND, IN), "norm2": (SECOND, OUT), "hidden": (LAST_MAP, IN),
                      "mlp": (LAST_MAP, OUT), "output": ("", OUT),
                      "attended_scaled": ("layer_scale1", OUT), "mlp_scaled": ("layer_scale2", OUT)}
TORCHVISION = {"tokens": ("encoder", IN), "embedded": ("encoder.layers.encoder_layer_0", IN),
               "norm": ("encoder.ln", OUT), "representation": ("heads", IN), "logits": ("heads", OUT)}
TORCHVISION_LAYER = {"norm1": ("ln_1", OUT), "attended": ("self_attention", OUT), "residual1": ("ln_2", IN),
                     "norm2": ("ln_2", OUT), "hidden": ("mlp.3", IN), "mlp": ("mlp.3", OUT), "output": ("", OUT)}
LAYERS = {"timm": r"blocks\.(\d+)", "torchvision": r"encoder\.layers\.encoder_layer_(\d+)",
          "Hugging Face": r"(?:\w+\.)*?(?:encoder\.layers?|layers?)\.(\d+)"}
TABLES = {"timm": (TIMM, TIMM_LAYER), "torchvision": (TORCHVISION, TORCHVISION_LAYER),
          "Hugging Face": (HUGGING_FACE, HUGGING_FACE_LAYER)}
FIRST_NORMS, POOLING = ("norm_pre", "pre_layrnorm"), ("attn_pool", "head")
TWO_HEADS = (("head", "head_dist"), ("cls_classifier", "distillation_classifier"))


def hooks(module, form, record, watch):
    """Register hooks that fill record; yields their handles. form: a format's name, transformers' unless known."""
    modules = dict(module.named_modules())
    form = form if form in TABLES else "Hugging Face"
    table, layer_table = TABLES[form]
    table, prefix = {**table, **_relatives(modules, form)}, _prefix(modules, form)
    if form == "timm" and hasattr(getattr(module, "fc_norm", None), "weight"):
        table["norm"] = ("fc_norm", OUT)
    rows = {step: (_first(modules, ("", prefix), paths), side) for step, (paths, side) in table.items()}
    for path in modules:
        if match := re.fullmatch(LAYERS[form], path):
            for step, (inner, side) in layer_table.items():
                rows[f"layer.{match[1]}.{step}"] = (path if not inner else _first(modules, (path + ".",), inner), side)
            yield modules[path].register_forward_pre_hook(_enter(watch, f"layer.{match[1]}."))
    for name in POOLING:
        pool = modules.get(name, modules.get(prefix + name))
        if pool is not None and (hasattr(pool, "latent") or hasattr(pool, "probe")):
            yield pool.register_forward_pre_hook(_enter(watch, "pool."))
    for step, (path, side) in rows.items():
        # Where there is no LayerScale, timm has an identity of its name.
        if path is not None and not (step.endswith("_scaled") and next(modules[path].parameters(), None) is None):
            yield _hook(modules[path], side, step, record)


def _relatives(modules, form):
    """What stands elsewhere in a relative: a norm before the layers, two heads."""
    found = {}
    for name, module in modules.items():
        if name.split(".")[-1] in FIRST_NORMS and hasattr(module, "weight"):
            found |= {"embedded": (name, IN), "norm_pre": (name, OUT)}
        if hasattr(module, "probe"):
            found["representation"] = (name, OUT)                       # SigLIP's, which has no classifier after it
    for first, second in TWO_HEADS:
        if first in modules and second in modules:
            found |= {"representation": (first, IN), "representation_dist": (second, IN), "logits": (None, OUT)}
            if hasattr(modules[first], "weight"):
                found |= {"logits_cls": (first, OUT), "logits_dist": (second, OUT)}
    return found


def two_tokens(record, output):
    """What the two heads of a distilled model read, (B, 2, D), and their answer, put into record."""
    import torch
    second = record.pop("representation_dist", None)
    if second is None:
        return
    if "logits_dist" in record:
        record |= {"representation": torch.stack([record["representation"], second], dim=1), "logits": output}
    else:
        record["representation"] = output


def _prefix(modules, form):
    """What stands before the names of transformers' modules, "vit." or "vision_model."."""
    if form != "Hugging Face":
        return ""
    return next((name.removesuffix("embeddings") for name in modules if re.fullmatch(r"(.*\.)?embeddings", name)), "")


def _first(modules, prefixes, paths):
    """The first of some paths that there is, under one of some prefixes, or None."""
    paths = (paths,) if isinstance(paths, str) or paths is None else paths
    return next((prefix + path for path in paths if path for prefix in prefixes if prefix + path in modules), None)


def _enter(watch, place):
    def hook(module, args):
        watch.place = place
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
