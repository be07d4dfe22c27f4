"""Do a source's tensors fit? Every tensor is used once, or ignored for a reason that is told, or an error.

Names first, then shapes, then (`params.py`) numbers: nothing is unpacked before both fit a Vision Transformer.
"""

import math
import re

from ..errors import CheckpointError
from .naming import head_stems
from .source import first_few
from .timm import expected_shapes

OTHER_ARCHITECTURES = {
    r"[qk]_norm\.": "normalised queries and keys",
    r"rope|inv_freq": "rotary positions",
    r"^classifier\.": "a classifier on the mean of CLIP's or SigLIP's patches",
}
DEEP_HEAD = r"(head|heads|classifier)\.(mlp|layers|last_layer|projection|bottleneck)\."
NO_HEAD = "the head has further layers, which a plain ViT has not: the model ends at its representation"


def fit_names(source, form):
    """({minivit's name: (their name, …)} of the tensors that are there, {ignored name: why}). Raises CheckpointError.

    The first tensor without a place is named: it tells what the architecture has beyond a plain ViT.
    """
    names = source.shapes
    places = form.name_map(names)
    ignored = {name: why for name in names for pattern, why in form.IGNORED.items() if re.match(pattern, name)}
    known = {theirs for group in places.values() for theirs in group}
    further = [name for name in names if name not in known and (
        (form.BEFORE_HEAD and re.match(form.BEFORE_HEAD, name)) or re.match(DEEP_HEAD, name))]
    stems = head_stems(names, form.HEAD)
    if further or len(stems) > 1:
        heads = [theirs for ours in ("head.weight", "head.bias") for theirs in places.pop(ours) if theirs in names]
        heads += [name for name in names if len(stems) > 1 and name.startswith(tuple(stems))]
        ignored |= {name: NO_HEAD for name in [*further, *heads]}
    elif stems and re.search(r"\d+\.$", stems[0]):
        source.assumed.append(f"that the head is the linear map {stems[0]} alone")
    used = {theirs for group in places.values() for theirs in group}
    odd = [name for name in names if name not in used and name not in ignored]
    if odd:
        known = (what for name in odd for pattern, what in OTHER_ARCHITECTURES.items() if re.search(pattern, name))
        hint = f": a plain ViT has no such thing as {what}" if (what := next(known, None)) else ""
        more = f"; so have {first_few(odd[1:])}" if len(odd) > 1 else ""
        raise CheckpointError(f"{source.label} does not fit a ViT under {form.NAME}'s names: {odd[0]} has no "
                              f"place{more}{hint}")
    return {ours: group for ours, group in places.items() if any(theirs in names for theirs in group)}, ignored


def sizes(source, form, places):
    """What shapes tell of the config: all but heads, eps, GELU form, read-out and the grid of positions."""
    def shape(ours, ndim):
        found = source.shapes.get(places[ours][0]) if ours in places else None
        if found is None or len(found) != ndim:
            problem = f"missing {form.name_map(source.shapes).get(ours, (ours,))[0]}" if found is None else \
                f"{places[ours][0]} has shape {found}, expected {ndim} axes"
            raise CheckpointError(f"{source.label} does not fit a ViT under {form.NAME}'s names: {problem}")
        return found

    (D,) = shape("blocks.0.norm1.weight", 1)
    # Where nothing tells, a missing bias of the patches is damage: CLIP, with its norm before the layers, has none.
    may_lack = source.module is not None or "norm_pre.weight" in places
    M = math.prod(shape("blocks.0.mlp.fc2.weight", 2)) // max(D, 1)
    fields = {"patch_size": form.patch_size(shape("patch_embed.proj.weight", 4)), "width": D,
              "num_layers": len({ours.split(".")[1] for ours in places if ours.startswith("blocks.")}),
              "mlp_width": M, "gated_mlp": _features(source, places, shape) == 2 * M,
              "num_classes": shape("head.bias", 1)[0] if "head.bias" in places or "head.weight" in places else 0,
              "class_token": "cls_token" in places, "dist_token": "dist_token" in places,
              "registers": shape("reg_token", 3)[1] if "reg_token" in places else 0,
              "layer_scale": "blocks.0.ls1.gamma" in places, "norm_pre": "norm_pre.weight" in places,
              "qkv_bias": "blocks.0.attn.qkv.bias" in places,
              "patch_bias": "patch_embed.proj.bias" in places or not may_lack,
              "position": "learned" if "pos_embed" in places else "none"}
    if "pos_embed" in places:
        shape("pos_embed", 3)
    return fields


def _features(source, places, shape):
    """How many features the first linear map of an MLP makes: M, or 2M in one map or two where it is gated."""
    shape("blocks.0.mlp.fc1.bias", 1)
    return sum(source.shapes[theirs][0] for theirs in places["blocks.0.mlp.fc1.bias"] if theirs in source.shapes)


def fit_shapes(source, form, places, config, ignored):
    """Raises CheckpointError that lists what is missing, unexpected or mis-shaped for this config."""
    expected = expected_shapes(config)
    head = places.get("head.weight", ("",))[0]
    if source.shapes.get(head, ())[1:] == (2 * config.width,):
        raise CheckpointError(f"{source.label}: its head {head} reads [CLS] and the mean of the patches side by side, "
                              "which minivit does not have: give num_classes=0 for the model without it")
    known = form.name_map(source.shapes) | places
    problems = [f"missing {theirs}" for ours in expected for theirs in known.get(ours, (ours,))
                if theirs not in source.shapes]
    problems += [f"unexpected {theirs}" for ours in places if ours not in expected for theirs in places[ours]]
    for ours, shape in expected.items():
        group = places.get(ours, ())
        for theirs in group:
            wanted = form.file_shape(ours, shape, len(group), config)
            found = source.shapes.get(theirs, wanted)
            if found != wanted:
                problems.append(f"{theirs} has shape {found}, expected {wanted}")
    if problems:
        raise CheckpointError(f"{source.label} does not fit a ViT under {form.NAME}'s names: "
                              f"{first_few(problems)}")
