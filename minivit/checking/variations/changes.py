"""A model changed in one place, in its config or its params: what the known variations are made of."""

from collections.abc import Sequence
from dataclasses import replace

from ...trees import tree_map


def with_config(model, **changes):
    """The model with the same params under a config with changes."""
    changed = model.with_params(model.params)
    changed.config = replace(model.config, **changes)
    return changed


class Blocks(Sequence):
    """The layers' params under a change that is made when a layer is asked for: of many, few are."""

    def __init__(self, blocks, change):
        self.blocks, self.change = blocks, change

    def __len__(self):
        return len(self.blocks)

    def __getitem__(self, i):
        return self.change(self.blocks, i)


def in_blocks(change):
    """A function of a model: change(blocks, i) gives the params of layer i."""
    return lambda model: model.with_params({**model.params, "blocks": Blocks(model.params["blocks"], change)})


def in_layers(section, part, change):
    """A function of a model: change(array) of the weight and bias of a section's part in every layer: "attn", "qkv"."""
    def changed(blocks, i):
        arrays = {name: change(array) for name, array in blocks[i][section][part].items()}
        return {**blocks[i], section: {**blocks[i][section], part: arrays}}
    return in_blocks(changed)


def in_patches(change, only_part="weight"):
    """A function of a model: change(array) of the patch embedding's weight or bias."""
    def changed(model):
        proj = dict(model.params["patch_embed"]["proj"])
        proj[only_part] = change(proj[only_part])
        return model.with_params({**model.params, "patch_embed": {"proj": proj}})
    return changed


def in_entry(name, change):
    """A function of a model: change(value) of params[name], where the model has it."""
    return lambda model: model if name not in model.params else \
        model.with_params({**model.params, name: change(model.params[name])})


def everywhere(change):
    """A function of a model: change(array) of every parameter."""
    def changed(model):
        rest = tree_map(change, {name: value for name, value in model.params.items() if name != "blocks"})
        blocks = Blocks(model.params["blocks"], lambda blocks, i: tree_map(change, blocks[i]))
        return model.with_params({**rest, "blocks": blocks})
    return changed
