"""Hugging Face's names of ViT, DeiT, MAE, I-JEPA, DINOv2, and of the vision towers of CLIP and SigLIP.

One model may be spelled in several ways: files have the spelling of transformers up to version 4, modules in memory
that of version 5. A section's spelling is the first of its row that is among the names.
"""

import re

from .naming import PYTORCH_PARTS, SCALES, expand, head_stem

HEAD = r"(cls_)?classifier\.(\d+\.)?|visual_projection\."
NAMES = {
    "cls_token": "embeddings.cls_token",
    "dist_token": "embeddings.distillation_token",
    "reg_token": "embeddings.register_tokens",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection.",
    "norm": "layernorm.",
}
STEMS = ("encoder.layer.{i}.", "layers.{i}.")
LAYER = {
    "norm1": ("layernorm_before.", "norm1."),
    "attn.qkv": (tuple(f"attention.attention.{part}." for part in ("query", "key", "value")),
                 tuple(f"attention.{part}_proj." for part in "qkv")),
    "attn.proj": ("attention.output.dense.", "attention.o_proj."),
    "ls1": ("layer_scale1.",),
    "norm2": ("layernorm_after.", "norm2."),
    "mlp.fc1": ("intermediate.dense.", "mlp.fc1.", "mlp.weights_in.", ("mlp.gate_proj.", "mlp.up_proj.")),
    "mlp.fc2": ("output.dense.", "mlp.fc2.", "mlp.weights_out.", "mlp.down_proj."),
    "ls2": ("layer_scale2.",),
}

TOWER_SIGN = "embeddings.patch_embedding."
TOWER = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding.weight",
    "patch_embed.proj": "embeddings.patch_embedding.",
    "norm_pre": "pre_layrnorm.",
    "norm": "post_layernorm.",
    "attn_pool.latent": "head.probe",
    "attn_pool.q": "head.attention.q.in_proj_",
    "attn_pool.kv": "head.attention.kv.in_proj_",
    "attn_pool.proj": "head.attention.out_proj.",
    "attn_pool.norm": "head.layernorm.",
    "attn_pool.mlp.fc1": "head.mlp.fc1.",
    "attn_pool.mlp.fc2": "head.mlp.fc2.",
}
TOWER_LAYER = {
    "norm1": "encoder.layers.{i}.layer_norm1.",
    "attn.qkv": tuple(f"encoder.layers.{{i}}.self_attn.{part}_proj." for part in "qkv"),
    "attn.proj": "encoder.layers.{i}.self_attn.out_proj.",
    "norm2": "encoder.layers.{i}.layer_norm2.",
    "mlp.fc1": "encoder.layers.{i}.mlp.fc1.",
    "mlp.fc2": "encoder.layers.{i}.mlp.fc2.",
}


def is_tower(names):
    """Whether these are the names of CLIP's or SigLIP's vision tower."""
    return any(TOWER_SIGN in name for name in names)


def name_map(names):
    """{minivit's name: (Hugging Face's, …)}."""
    if is_tower(names):
        prefix = next(match[1] for name in names if (match := re.match(r"(.*?)embeddings\.patch_embedding\.", name)))
        table, layer = ({ours: prefixed(prefix, theirs) for ours, theirs in rows.items()}
                        for rows in (TOWER, TOWER_LAYER))
        pattern = re.escape(prefix) + r"encoder\.layers\.(\d+)\."
        return expand(table | {"head": "visual_projection."}, layer, pattern, names)
    prefix = next((match[1] for name in names if (match := re.match(r"(.*?)embeddings\.", name))), "vit.")
    heads = {"head": head_stem(names, HEAD) or "classifier.", "head_dist": "distillation_classifier."}
    layer, pattern = _layer(names, prefix)
    return expand({ours: prefix + theirs for ours, theirs in NAMES.items()} | heads, layer, pattern, names, _parts)


def _layer(names, prefix):
    """(the table of a layer, the pattern of its names).

    save_pretrained of a ViTMSNForImageClassification leaves the prefix of its layers out (transformers 5.24).
    """
    candidates = [before + stem for before in ("", prefix) for stem in STEMS]
    patterns = {stem: re.escape(stem).replace(r"\{i\}", r"(\d+)") for stem in candidates}
    stem = next((stem for stem, pattern in patterns.items() if any(re.match(pattern, name) for name in names)),
                prefix + STEMS[0])
    rests = {name[match.end():] for name in names if (match := re.match(patterns[stem], name))}

    def is_spelt(theirs):
        first = theirs[0] if isinstance(theirs, tuple) else theirs
        return any(rest.startswith(first) for rest in rests)

    rows = {ours: next((theirs for theirs in spellings if is_spelt(theirs)), spellings[0])
            for ours, spellings in LAYER.items()}
    return {ours: prefixed(stem, theirs) for ours, theirs in rows.items()}, patterns[stem]


def prefixed(prefix, theirs):
    """A name, or each of several, with a prefix."""
    return tuple(prefix + part for part in theirs) if isinstance(theirs, tuple) else prefix + theirs


def _parts(module):
    return {"gamma": "lambda1"} if module in SCALES else PYTORCH_PARTS
