"""Google's .npz files: the original ViT, AugReg and big_vision, named as flax names its modules.

Kernels are (in, out); q, k and v are three kernels (D, H, d), so the number of heads can be read from them; the patch
kernel is (P, P, C, D), which flattens to (P²C, D) as it is. GELU is the tanh form.
"""

import numpy as np

from ..errors import CheckpointError
from ..images.preparation import Preprocessing
from .naming import NORMS, PYTORCH_PARTS, expand

NAME = "Google"
RESAMPLE = "google"
SIGNS = ("Transformer/encoderblock_", "Transformer/encoder_norm", "embedding/kernel")
IGNORED = {}
BEFORE_HEAD = r"pre_logits/"
HEAD = r"head/"

NAMES = {
    "cls_token": "cls",
    "pos_embed": "Transformer/posembed_input/pos_embedding",
    "patch_embed.proj": "embedding/",
    "norm": "Transformer/encoder_norm/",
    "attn_pool.latent": "MAPHead_0/probe",
    "attn_pool.q": "MAPHead_0/MultiHeadDotProductAttention_0/query/",
    "attn_pool.kv": tuple(f"MAPHead_0/MultiHeadDotProductAttention_0/{part}/" for part in ("key", "value")),
    "attn_pool.proj": "MAPHead_0/MultiHeadDotProductAttention_0/out/",
    "attn_pool.norm": "MAPHead_0/LayerNorm_0/",
    "attn_pool.mlp.fc1": "MAPHead_0/MlpBlock_0/Dense_0/",
    "attn_pool.mlp.fc2": "MAPHead_0/MlpBlock_0/Dense_1/",
    "head": "head/",
}
HEADS_APART = ("attn.qkv", "attn_pool.q", "attn_pool.kv")           # kernels (D, H, d)
HEADS_TOGETHER = ("attn.proj", "attn_pool.proj")                    # (H, d, D)
BIG_VISION_POSITIONS = "pos_embedding"
LAYER = "Transformer/encoderblock_{i}/"
ORIGINAL = {"attention": "MultiHeadDotProductAttention_1", "second norm": "LayerNorm_2", "mlp": "MlpBlock_3"}
LINEN = {"attention": "MultiHeadDotProductAttention_0", "second norm": "LayerNorm_1", "mlp": "MlpBlock_0"}


def matches(names):
    """Whether these are Google's names."""
    return any(sign in name for name in names for sign in SIGNS)


def name_map(names):
    """{minivit's name: (Google's, …)}."""
    table = dict(NAMES)
    if BIG_VISION_POSITIONS in names:
        table["pos_embed"] = BIG_VISION_POSITIONS
    layer = _layer(LINEN if any("/MlpBlock_0/" in name and "MAPHead" not in name for name in names) else ORIGINAL)
    return expand(table, layer, r"Transformer/encoderblock_(\d+)/", names, _parts)


def cls_row(source):
    """big_vision adds its positions before [CLS], which so has none; the others leave it open."""
    return False if BIG_VISION_POSITIONS in source.shapes else None


def _layer(numbered):
    attention = LAYER + numbered["attention"]
    return {
        "norm1": LAYER + "LayerNorm_0/",
        "attn.qkv": tuple(f"{attention}/{part}/" for part in ("query", "key", "value")),
        "attn.proj": f"{attention}/out/",
        "norm2": LAYER + numbered["second norm"] + "/",
        "mlp.fc1": LAYER + numbered["mlp"] + "/Dense_0/",
        "mlp.fc2": LAYER + numbered["mlp"] + "/Dense_1/",
    }


def _parts(module):
    return {"weight": "scale", "bias": "bias"} if module in NORMS else {**PYTORCH_PARTS, "weight": "kernel"}


def settings(source, sizes, places):
    """What the convention says: (fields of ViTConfig, labels). Raises CheckpointError."""
    if "pos_embed" not in places:
        raise CheckpointError(f"{source.label} holds no position embeddings: big_vision's sin-cos ones, which its "
                              "files leave out, are not among those that minivit has")
    fields = {"layer_norm_eps": 1e-6, "gelu": "tanh"}
    query = next((shape for name, shape in source.shapes.items() if name.endswith("/query/kernel")), ())
    if len(query) == 3:
        fields["num_heads"] = query[1]
    return fields, None


def preprocessing(source, config):
    """The images of all of Google's evaluations are stretched, and run from -1 to 1."""
    return Preprocessing(resize="stretch", interpolation="bilinear")


def file_shape(name, shape, parts, config):
    """The shape in the file of minivit's `name`, of `shape` under timm's names."""
    D, H = config.width, config.num_heads
    if name == "patch_embed.proj.weight":
        return tuple(shape[i] for i in (2, 3, 1, 0))
    module, _, part = name.rpartition(".")
    if module.endswith(HEADS_APART):
        return (D, H, D // H) if part == "weight" else (H, D // H)
    if module.endswith(HEADS_TOGETHER) and part == "weight":
        return (H, D // H, D)
    return shape[::-1] if len(shape) == 2 else shape


def to_ours(name, arrays):
    """minivit's array from the file's: kernels are (in, out) already, heads are merged by a reshape."""
    module, _, part = name.rpartition(".")
    if part == "weight" and module.endswith(("patch_embed.proj", *HEADS_TOGETHER)):
        return arrays[0].reshape(-1, arrays[0].shape[-1])                       # (P²C, D), (D, D)
    if module.endswith(HEADS_APART) and part == "weight":
        return np.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1)  # (D, 3D)
    if module.endswith(HEADS_APART):
        return np.concatenate([a.reshape(-1) for a in arrays])                  # (3D,)
    return arrays[0]


def patch_size(shape):
    """P from the shape of the patch kernel."""
    return shape[0]
