"""A source's ViTConfig: what its tensors show, what it says, then conventions, each of which is told; never a guess."""

from dataclasses import replace

from ..config import ViTConfig
from ..errors import CheckpointError
from ..ranges import shown
from ..variants import VARIANTS
from . import fitting
from .grids import fits, trained_size
from .reading_out import pool_of_tensors

# What a source may say against what its tensors seem to show: a grid that is not square, sin-cos positions, patches
# without a bias, which the tensors alone do not tell from a lost one.
FREE = ("image_size", "position", "patch_bias")


def read_config(source, form, places, changes):
    """(ViTConfig of the weights as they are, labels or None, the image size that the source wants, or None).

    changes decide only what nothing else tells: heads, read-out, a grid of positions that is not square. Raises
    CheckpointError.
    """
    fields = fitting.sizes(source, form, places)
    told, labels = form.settings(source, fields, places)
    odd = [name for name in told if name in fields and name not in FREE and told[name] != fields[name]]
    if odd:
        raise CheckpointError(f"{source.label} says {odd[0]} {told[odd[0]]!r}, its tensors {fields[odd[0]]!r}: the two "
                              "do not belong together")
    fields |= told
    if not fields["qkv_bias"] and "qkv_bias" not in told and source.module is None:
        raise CheckpointError(f"{source.label}: its first layer has no bias of q, k and v, and nothing says that the "
                              "model has none: give the whole file, or beside it a config.json with qkv_bias false")
    if fields["gated_mlp"] and "gated_mlp" not in told and source.module is None:
        source.assumed.append("that the gated MLP is SwiGLU with the gate first, as DINOv2's")
    if "pool" in changes and "fc_norm.weight" in places:
        fields["pool"] = changes["pool"]            # this norm may come before either read-out
    if "pool" not in fields:
        fields["pool"] = pool_of_tensors(source, places, changes.get("pool"))
    questions = []
    if "num_heads" not in fields:
        fields["num_heads"] = changes.get("num_heads") or _usual_heads(source, fields, questions)
    told_size = fields.get("image_size")
    fields["image_size"] = _size(source, form, places, fields, told_size, changes.get("image_size"), questions)
    if questions:
        raise CheckpointError(f"{source.label}: {'; '.join(questions)}")
    # What the caller decided comes last, after values that fit every config: a wrong argument is no damage.
    fitting_all = {"num_heads": 1, "pool": "mean", "image_size": fields["patch_size"]}
    decided = {name: changes[name] for name in fitting_all if name in changes and changes[name] == fields[name]}
    config = changed(ViTConfig(**fields | {name: fitting_all[name] for name in decided}), decided, source.label)
    if config.has_position_table and "prefix_positions" not in told:
        rows = source.shapes[places["pos_embed"][0]][1]
        if config.class_token and rows == config.num_patches:
            config = replace(config, prefix_positions=False)
    if labels is not None and len(labels) != config.num_classes:
        raise CheckpointError(f"{source.label}: {len(labels)} labels do not name {config.num_classes} classes")
    return config, labels, told_size


def changed(config, changes, label):
    """The config with the caller's changes. Raises CheckpointError that names the one that does not fit."""
    for name, value in changes.items():
        try:
            config = replace(config, **{name: value})
        except ValueError as error:
            raise CheckpointError(f"{name}={shown(value)} does not fit {label}: {error}") from None
    return config


def _usual_heads(source, fields, questions):
    """The heads of the variant that has these sizes; where there is none, a question more."""
    sizes = ("width", "num_layers", "mlp_width")
    rows = [row for row in VARIANTS.values() if all(getattr(row, name) == fields[name] for name in sizes)]
    if not rows:
        questions.append("the weights do not tell the number of heads, and no variant has the width "
                         f"{fields['width']}, {fields['num_layers']} layers and the MLP width {fields['mlp_width']}: "
                         "give num_heads=… (on the command line --num-heads)")
        return None
    source.assumed.append(f"num_heads={rows[0].num_heads}, as the variant of this width, depth and MLP width has")
    return rows[0].num_heads


def _size(source, form, places, fields, told, wanted, questions):
    """The image size that the weights were trained for; where nothing tells it, a question more."""
    if fields["position"] not in ("learned", "fixed"):
        if told is None and wanted is None:
            questions.append("there is no table of positions that would tell the image size: give image_size=… (on the "
                             "command line --image-size)")
        elif told is None:
            source.assumed.append('position="none", as there is no table of positions')
        return told if told is not None else wanted
    rows = source.shapes[places["pos_embed"][0]][1]
    prefix = fields["class_token"] + fields["dist_token"]
    if told is not None and not fits(told, fields["patch_size"], rows, prefix, form.cls_row(source)):
        if not (hasattr(form, "resamples") and form.resamples(source)):
            raise CheckpointError(f"{source.label} says image_size {told}, whose patches its {rows} positions do "
                                  "not cover: the two do not belong together")
        source.assumed.append(f"image_size={told}, as its JSON says: the table of another size is resampled, as "
                              f"{form.NAME} does")
    size, question = trained_size(rows, prefix, fields["patch_size"], form.cls_row(source), told, wanted)
    if question:
        questions.append(question)
    elif told is None and wanted is None:
        source.assumed.append(f"image_size={size}, as its positions cover a square")
    return size
