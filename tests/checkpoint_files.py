"""The weights of one small model under the names and in the shapes of every format, written out independently.

Nothing here uses minivit.checkpoints: the tables are those of the libraries' documentation, turned by hand.
"""

import json

import numpy as np
from peaked import peaked_model
from safetensors.numpy import save_file

import minivit

CONFIG = minivit.ViTConfig(patch_size=4, width=8, num_layers=2, mlp_width=12, num_heads=2, num_classes=3, image_size=12)


def small_model(**changes):
    """A peaked model in float64 whose weights float32 can hold."""
    model = peaked_model(minivit.variants.as_config(CONFIG, **changes))
    return model.astype("float32").astype("float64")


def timm(model):
    """{timm's name: array}."""
    tensors = {"cls_token": model.params["cls_token"], "pos_embed": model.params["pos_embed"],
               "patch_embed.proj.weight": kernel(model).transpose(3, 2, 0, 1),
               "patch_embed.proj.bias": model.params["patch_embed"]["proj"]["bias"]}
    for i, block in enumerate(model.params["blocks"]):
        for name, section in (("norm1", block["norm1"]), ("attn.qkv", block["attn"]["qkv"]),
                              ("attn.proj", block["attn"]["proj"]), ("norm2", block["norm2"]),
                              ("mlp.fc1", block["mlp"]["fc1"]), ("mlp.fc2", block["mlp"]["fc2"])):
            tensors[f"blocks.{i}.{name}.weight"] = section["weight"].T
            tensors[f"blocks.{i}.{name}.bias"] = section["bias"]
    for name in ("norm", "head"):
        tensors[f"{name}.weight"] = model.params[name]["weight"].T
        tensors[f"{name}.bias"] = model.params[name]["bias"]
    return single(tensors)


def torchvision(model):
    """{torchvision's name: array}."""
    spelling = {"cls_token": "class_token", "pos_embed": "encoder.pos_embedding", "patch_embed.proj": "conv_proj",
                "norm.": "encoder.ln.", "head": "heads.head", "attn.qkv.": "self_attention.in_proj_",
                "attn.proj": "self_attention.out_proj", "norm1": "ln_1", "norm2": "ln_2", "mlp.fc1": "mlp.0",
                "mlp.fc2": "mlp.3"}
    return renamed(timm(model), spelling, "blocks.", "encoder.layers.encoder_layer_")


def hugging_face(model):
    """{the name that save_pretrained writes: array}."""
    spelling = {"cls_token": "vit.embeddings.cls_token", "pos_embed": "vit.embeddings.position_embeddings",
                "patch_embed.proj": "vit.embeddings.patch_embeddings.projection", "norm.": "vit.layernorm.",
                "head": "classifier", "attn.proj": "attention.output.dense", "norm1": "layernorm_before",
                "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense"}
    tensors = {}
    for name, array in renamed(timm(model), spelling, "blocks.", "vit.encoder.layer.").items():
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), np.split(array, 3)):
                tensors[name.replace("attn.qkv", f"attention.attention.{part}")] = third
        else:
            tensors[name] = array
    return single(tensors)


def google(model):
    """{Google's name in the original files: array}."""
    D, H = model.config.width, model.config.num_heads
    params = model.params
    tensors = {"cls": params["cls_token"], "Transformer/posembed_input/pos_embedding": params["pos_embed"],
               "embedding/kernel": kernel(model), "embedding/bias": params["patch_embed"]["proj"]["bias"],
               "Transformer/encoder_norm/scale": params["norm"]["weight"],
               "Transformer/encoder_norm/bias": params["norm"]["bias"],
               "head/kernel": params["head"]["weight"], "head/bias": params["head"]["bias"]}
    for i, block in enumerate(params["blocks"]):
        layer, attention = f"Transformer/encoderblock_{i}", "MultiHeadDotProductAttention_1"
        for name, norm in (("LayerNorm_0", block["norm1"]), ("LayerNorm_2", block["norm2"])):
            tensors |= {f"{layer}/{name}/scale": norm["weight"], f"{layer}/{name}/bias": norm["bias"]}
        qkv = block["attn"]["qkv"]
        for part, weight, bias in zip(("query", "key", "value"), np.split(qkv["weight"], 3, axis=1),
                                      np.split(qkv["bias"], 3)):
            tensors |= {f"{layer}/{attention}/{part}/kernel": weight.reshape(D, H, D // H),
                        f"{layer}/{attention}/{part}/bias": bias.reshape(H, D // H)}
        out = block["attn"]["proj"]
        tensors |= {f"{layer}/{attention}/out/kernel": out["weight"].reshape(H, D // H, D),
                    f"{layer}/{attention}/out/bias": out["bias"]}
        for name, dense in (("Dense_0", block["mlp"]["fc1"]), ("Dense_1", block["mlp"]["fc2"])):
            tensors |= {f"{layer}/MlpBlock_3/{name}/kernel": dense["weight"],
                        f"{layer}/MlpBlock_3/{name}/bias": dense["bias"]}
    return single(tensors)


def kernel(model):
    """The patch kernel as (P, P, C, D)."""
    P = model.config.patch_size
    return model.params["patch_embed"]["proj"]["weight"].reshape(P, P, 3, -1)


def renamed(tensors, spelling, layer, their_layer):
    """The same arrays with each part of each name in another spelling."""
    result = {}
    for name, array in tensors.items():
        for ours, theirs in spelling.items():
            if name.startswith(ours) or (name.startswith("blocks.") and ours in name and ours != "norm."):
                name = name.replace(ours, theirs)
                break
        result[name.replace(layer, their_layer)] = array
    return result


def single(tensors):
    """The arrays in float32, each contiguous."""
    return {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}


def native_metadata(model):
    """The metadata of minivit's own files, as README.md of the format describes it."""
    about = {"config": vars(model.config), "preprocessing": vars(minivit.Preprocessing()), "labels": ["a", "b", "c"],
             "name": "small"}
    return {"minivit": json.dumps(about)}


def google_stacked(model):
    """{Google's name: array} of a scanned model of big_vision: one array for all layers, under params/."""
    tensors = {name.replace("Attention_1", "Attention_0").replace("Norm_2", "Norm_1").replace("Block_3", "Block_0"): a
               for name, a in google(model).items()}
    for name in [name for name in tensors if "encoderblock_0/" in name]:
        layers = [tensors.pop(name.replace("block_0/", f"block_{i}/")) for i in range(model.config.num_layers)]
        tensors[name.replace("encoderblock_0", "encoderblock")] = np.stack(layers)
    return {"params/img/" + name: array for name, array in tensors.items()}


def timm_wrapped(model):
    """{timm's name: array} behind two wrappers' prefixes, with a dropout before the head."""
    return {"module.backbone." + name.replace("head.", "head.1."): array for name, array in timm(model).items()}


def hugging_face_wrapped(model):
    """{Hugging Face's name: array} of a compiled model, with a dropout before the head."""
    return {"_orig_mod." + name.replace("classifier.", "classifier.1."): a for name, a in hugging_face(model).items()}


def torchvision_wrapped(model):
    """{torchvision's name: array} of a Lightning module whose head is one linear map."""
    return {"model." + name.replace("heads.head.", "heads."): array for name, array in torchvision(model).items()}


WRAPPED = {"google stacked": google_stacked, "timm wrapped": timm_wrapped, "torchvision wrapped": torchvision_wrapped,
           "hugging_face wrapped": hugging_face_wrapped}
FORMATS = {"google": google, "timm": timm, "hugging_face": hugging_face, "torchvision": torchvision, "native": timm}


def write(format_name, tensors, folder, metadata=None):
    """Write tensors as files of this format are written; returns the path."""
    if format_name.startswith("google"):
        path = folder / "weights.npz"
        np.savez(path, **tensors)
    else:
        path = folder / "weights.safetensors"
        save_file(tensors, path, metadata)
    return path
