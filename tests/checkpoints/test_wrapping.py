"""Prefixes, decoders, optimisers' states, stacked layers, and heads of one layer or several."""

import checkpoint_files
import numpy as np
import pytest
from checkpoint_files import CONFIG, small_model
from peaked import images, relative_error

import minivit

CONVENTIONS = {"google": {"gelu": "tanh"}, "timm": {}, "hugging_face": {"layer_norm_eps": 1e-12}, "torchvision": {}}


def model_and_tensors(form):
    model = small_model(**CONVENTIONS[form])
    return model, getattr(checkpoint_files, form)(model)


def same(loaded, model):
    return relative_error(loaded(images(CONFIG)), model(images(CONFIG))) <= 1e-12


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "backbone.", "base_encoder.", "module.model.",
                                    "encoder.", "net.0.", "visual.trunk."])
@pytest.mark.parametrize("form", ["timm", "hugging_face", "torchvision"])
def test_any_prefix_that_all_names_share(form, prefix):
    model, tensors = model_and_tensors(form)
    loaded = minivit.load({prefix + name: array for name, array in tensors.items()}, num_heads=2, dtype="float64")
    assert same(loaded, model)


@pytest.mark.parametrize("prefix", ["params/", "opt/target/", "params/img/", "img/"])
@pytest.mark.parametrize("stacked", [False, True])
def test_prefixes_and_stacked_layers_of_big_vision(prefix, stacked, capsys, tmp_path):
    """A scanned model has one array for all layers, whose first axis is the layer."""
    model, tensors = model_and_tensors("google")
    tensors = {name.replace("Attention_1", "Attention_0").replace("Norm_2", "Norm_1").replace("Block_3", "Block_0"): a
               for name, a in tensors.items()}
    if stacked:
        layers = [name for name in tensors if "encoderblock_0/" in name]
        whole = {name.replace("encoderblock_0", "encoderblock"):
                 np.stack([tensors[name.replace("block_0/", f"block_{i}/")] for i in range(CONFIG.num_layers)])
                 for name in layers}
        tensors = {name: array for name, array in tensors.items() if "encoderblock_" not in name} | whole
    content = {prefix + name: array for name, array in tensors.items()}
    extras = {"chrono/steps": np.array(3), "opt/0/mu/embedding/kernel": np.zeros(2)}
    extras |= {"params/t": np.zeros(1), "params/txt/embedding/kernel": np.zeros(3)} if prefix == "params/img/" else {}
    np.savez(tmp_path / "a.npz", **content, **extras)
    for source in (tmp_path / "a.npz", content | extras):
        loaded = minivit.load(source, dtype="float64")
        assert same(loaded, model) and set(loaded.origin.ignored) == set(extras)
        assert "optimiser" in capsys.readouterr().err


def test_stacked_layers_that_differ_in_number():
    tensors = model_and_tensors("google")[1]
    stacked = {name.replace("encoderblock_0", "encoderblock"): np.stack([array] * (2 + ("mlp" in name.lower())))
               for name, array in tensors.items() if "encoderblock_0/" in name}
    rest = {name: array for name, array in tensors.items() if "encoderblock_" not in name}
    with pytest.raises(minivit.CheckpointError, match="stacked layers are not of one number"):
        minivit.load(rest | stacked)


def test_where_several_prefixes_fit_prefix_says_which(capsys):
    model, tensors = model_and_tensors("timm")
    content = {"base_encoder." + name: array for name, array in tensors.items()}
    content |= {"momentum_encoder." + name: 2 * array for name, array in tensors.items()}
    content["predictor.0.weight"] = np.ones(3)
    with pytest.raises(minivit.CheckpointError, match=r"prefixes 'base_encoder\.', 'momentum_encoder\.': say"):
        minivit.load(content, num_heads=2)
    with pytest.raises(minivit.CheckpointError, match=r"under prefix='x\.'; it has one under 'base_encoder\.'"):
        minivit.load(content, num_heads=2, prefix="x.")
    loaded = minivit.load(content, num_heads=2, dtype="float64", prefix="base_encoder.")
    assert same(loaded, model) and "predictor.0.weight" in loaded.origin.ignored
    assert "outside the prefix" in capsys.readouterr().err


def test_decoders_are_left_out_and_told(capsys):
    model, tensors = model_and_tensors("timm")
    extra = {name: np.ones(3) for name in ("mask_token", "decoder_embed.weight", "decoder_blocks.0.attn.qkv.weight",
                                           "decoder_pos_embed", "decoder.0.weight")}
    loaded = minivit.load(tensors | extra, num_heads=2, dtype="float64")
    assert same(loaded, model) and set(loaded.origin.ignored) == set(extra)
    assert "decoder_embed.weight" in capsys.readouterr().err


HEADS = {"timm": ("head.", ["head.0.", "head.1."]),
         "hugging_face": ("classifier.", ["classifier.0.", "classifier.1."]),
         "torchvision": ("heads.head.", ["heads.", "heads.0.", "heads.1.", "heads.head.1."])}


@pytest.mark.parametrize("form", HEADS)
def test_heads_that_are_a_linear_map_behind_a_dropout(form):
    usual, others = HEADS[form]
    model, tensors = model_and_tensors(form)
    for other in others:
        content = {name.replace(usual, other): a for name, a in tensors.items()}
        loaded = minivit.load(content, num_heads=2, dtype="float64")
        assert same(loaded, model)
        assert any(other in what for what in loaded.origin.assumed) == any(map(str.isdigit, other))


@pytest.mark.parametrize("extra", ["head.2.weight", "head.0.running_mean", "head.mlp.0.weight"])
def test_heads_of_several_layers_are_left_out_and_told(extra, capsys):
    model, tensors = model_and_tensors("timm")
    tensors = {name.replace("head.", "head.1."): array for name, array in tensors.items()} | {extra: np.ones((8, 8))}
    loaded = minivit.load(tensors, num_heads=2, dtype="float64")
    expected = minivit.tracing.trace(model, images(CONFIG))["representation"]
    assert relative_error(loaded(images(CONFIG)), expected) <= 1e-12
    assert extra in capsys.readouterr().err and loaded.config.num_classes == 0


def test_a_tensor_outside_the_prefix_is_named():
    tensors = {"backbone." + name: array for name, array in model_and_tensors("timm")[1].items()}
    with pytest.raises(minivit.CheckpointError, match=r"fc\.weight has no place"):
        minivit.load(tensors | {"fc.weight": np.ones((3, 8))}, num_heads=2)
