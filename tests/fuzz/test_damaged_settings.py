"""300 damaged configurations and 300 damaged state dicts a kind: one line of error, or a model that computes."""

import json

import checkpoint_files
import numpy as np
import pytest
from checkpoint_files import CONFIG, small_model
from safetensors.numpy import save_file

import minivit

WRONG = (None, True, False, 0, 1, -1, 2, 3, 7, 0.5, 1e300, 1e-300, 10 ** 400, "", "x", "1", [], [1], [12, 12],
         [1, 2, 3], [None] * 3,
         [[1]] * 3, {}, {"height": 12}, {"a": 1}, {"shortest_edge": 10 ** 9}, {"height": -1, "width": 12})
KINDS = {
    "hugging_face": {"config.json": {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "image_size": 12,
                                     "num_attention_heads": 2, "intermediate_size": 12, "patch_size": 4,
                                     "hidden_act": "gelu", "layer_norm_eps": 1e-6, "problem_type": None,
                                     "id2label": {"0": "a", "1": "b", "2": "c"}},
                     "preprocessor_config.json": {
                         "do_resize": True, "size": {"height": 12, "width": 12}, "resample": 3, "do_center_crop": False,
                         "crop_size": {"height": 12, "width": 12}, "do_rescale": True, "rescale_factor": 1 / 255,
                         "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_pad": False,
                         "image_processor_type": "ViTImageProcessor"}},
    "timm": {"config.json": {"architecture": "vit_tiny_patch16_224", "num_classes": 3, "global_pool": "token",
                             "label_names": ["a", "b", "c"],
                             "model_args": {"num_heads": 2, "img_size": 12, "act_layer": "gelu", "global_pool": "token",
                                            "norm_layer": "layernorm", "no_embed_class": False},
                             "pretrained_cfg": {"input_size": [3, 12, 12], "crop_pct": 0.9, "crop_mode": "center",
                                                "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.5] * 3}}},
}


def places(tree, path=()):
    """The path of every value in nested dicts."""
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from places(value, (*path, key))


def damaged(tree, rng):
    """A copy with one value, or two, of another type or range, gone, or under another name."""
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.integers(1, 3)):
        paths = list(places(tree))
        *path, key = paths[rng.integers(len(paths))]
        branch = tree
        for part in path:
            branch = branch[part]
        kind, value = rng.integers(5), branch.pop(key)
        if kind == 0:
            branch[key + "x"] = value
        elif kind > 1:
            branch[key] = WRONG[rng.integers(len(WRONG))]
    return tree


@pytest.mark.parametrize("kind, name", [(kind, name) for kind, files in KINDS.items() for name in files])
def test_damaged_configurations(kind, name, tmp_path):
    save_file(getattr(checkpoint_files, kind)(small_model()), tmp_path / "model.safetensors")
    for file, content in KINDS[kind].items():
        (tmp_path / file).write_text(json.dumps(content))
    assert minivit.load(tmp_path).config.num_heads == 2
    refused = 0
    for seed in range(300):
        (tmp_path / name).write_text(json.dumps(damaged(KINDS[kind][name], np.random.default_rng(seed))))
        try:
            model = minivit.load(tmp_path)
        except minivit.CheckpointError as error:
            assert "\n" not in str(error) and len(str(error)) < 700
            refused += 1
        else:
            assert np.isfinite(model.prepare(np.zeros((*model.config.height_width, 3), np.uint8))).all()
            assert model.config.width == 8 and max(model.config.height_width) <= 64
    assert refused > 100


def of_another_kind(tensors, rng):
    """One tensor is a number, a text, a list, whole numbers or an object; or its name is no text."""
    name = list(tensors)[rng.integers(len(tensors))]
    others = [3, "x", None, [1, 2], tensors[name].astype(int), tensors[name].astype(object), tensors[name] + 1j, {}]
    if rng.integers(5) == 0:
        return {7 if key == name else key: array for key, array in tensors.items()}
    return {**tensors, name: others[rng.integers(len(others))]}


@pytest.mark.parametrize("path", [(), ("state_dict",), ("model", "state_dict")])
@pytest.mark.parametrize("form", ["timm", "google", "hugging_face", "torchvision", "timm_wrapped", "google_stacked"])
def test_damaged_state_dicts(form, path):
    from damage import STRUCTURED
    tensors = getattr(checkpoint_files, form)(small_model())
    for seed in range(100):
        rng = np.random.default_rng(seed)
        harm = (*STRUCTURED, of_another_kind)[rng.integers(len(STRUCTURED) + 1)]
        content = harm(tensors, rng)
        for key in reversed(path):
            content = {key: content, "epoch": 3}
        with pytest.raises(minivit.CheckpointError):
            minivit.load(content, num_heads=CONFIG.num_heads)
