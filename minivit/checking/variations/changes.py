"""A model changed in one place, in its config or its params: what the known variations are made of."""

from dataclasses import replace


def with_config(model, **changes):
    """The model with the same params under a config with changes."""
    changed = model.with_params(model.params)
    changed.config = replace(model.config, **changes)
    return changed


def in_attention(part, change):
    """A function of a model: change(array) of the weight and bias of attn's part, "qkv" or "proj", in every layer."""
    def changed(model):
        blocks = []
        for block in model.params["blocks"]:
            section = {name: change(array) for name, array in block["attn"][part].items()}
            blocks.append({**block, "attn": {**block["attn"], part: section}})
        return model.with_params({**model.params, "blocks": blocks})
    return changed


def in_patches(change, only_part="weight"):
    """A function of a model: change(array) of the patch embedding's weight or bias."""
    def changed(model):
        proj = dict(model.params["patch_embed"]["proj"])
        proj[only_part] = change(proj[only_part])
        return model.with_params({**model.params, "patch_embed": {"proj": proj}})
    return changed


def in_positions(change):
    """A function of a model: change(table) of its learned positions (1, T, D)."""
    return lambda model: model.with_params({**model.params, "pos_embed": change(model.params["pos_embed"])})
