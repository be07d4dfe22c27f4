"""What the name of one of timm's architectures says of it; model_args say only what they change."""

import re

NAMED = re.compile(r"(?P<family>vit|deit3?|flexivit|eva|beit3)_(?P<size>tiny|xsmall|small|medium|mediumd|betwixt|base|"
                   r"large|huge|giant|giantopt|gigantic|wee|little|so400m|so150m|so150m2)(_|$)")
HEADS = {"tiny": 3, "xsmall": 4, "wee": 4, "little": 5, "small": 6, "medium": 8, "mediumd": 8, "betwixt": 10,
         "base": 12, "so150m2": 13, "so150m": 14, "large": 16, "huge": 16, "giant": 16, "giantopt": 16, "gigantic": 16,
         "so400m": 16}
OTHER_HEADS = {r"vit_giant_.*(dinov2|tipsv2|radio)": 24, r"vit_base_.*_plus_": 14, r"vit_base_patch16_gap_": 16}
TANH = re.compile(r"vit_(giantopt_patch16|so400m_patch16|base_patch32|large_patch16)_siglip_(gap_)?(?P<side>\d+)")
NO_QKV_BIAS = re.compile(r"vit_((medium|betwixt)_patch16_gap|so150m2_patch16_reg1_gap|base_patch16_224_miil)")
# Architectures with the very names of the plain ViT whose layers compute something else.
OTHER_LAYERS = {r"_rpn_": "the norms after attention and MLP", r"^aimv2": "other norms", r"_radio_": "other positions",
                r"^(vit_)?d(little|wee)": "differential attention"}


def heads(architecture):
    """The number of heads of an architecture, or None."""
    other = next((count for pattern, count in OTHER_HEADS.items() if re.match(pattern, architecture)), None)
    named = NAMED.match(architecture)
    return other or (HEADS[named["size"]] if named else None)


def eps(architecture):
    """LayerNorm's eps: 1e-5 in the family of CLIP, 1e-6 else."""
    return 1e-5 if "_clip_" in architecture or architecture.startswith("beit3") else 1e-6


def activation(architecture):
    """timm's name of the activation."""
    if "quickgelu" in architecture:
        return "quick_gelu"
    match = TANH.match(architecture)
    large = match and match[1] == "large_patch16"
    return "gelu_tanh" if match and (not large or match["side"] == "512") else "gelu"


def has_no_prefix_positions(architecture):
    """Whether [CLS] and the like have no position (no_embed_class), or None where the name is not known."""
    if not NAMED.match(architecture):
        return None
    registers = re.search(r"_reg\d+_", architecture) and "_so150m" not in architecture
    return bool(registers) or architecture.startswith(("flexivit", "deit3"))


def registers(architecture):
    """How many registers there are, or None where the name is not known."""
    named = re.search(r"_reg(\d+)_", architecture)
    return (int(named[1]) if named else 0) if NAMED.match(architecture) else None


def has_qkv_bias(architecture):
    """Whether the linear map of q, k and v has a bias, or None where the name is not known."""
    return not NO_QKV_BIAS.match(architecture) if NAMED.match(architecture) else None


def other_layers(architecture):
    """What this architecture has that computes something else under the same names, or None."""
    return next((what for pattern, what in OTHER_LAYERS.items() if re.search(pattern, architecture)), None)
