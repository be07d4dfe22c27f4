"""Every format's names, shapes and conventions; the libraries themselves are in parity/test_checkpoint_parity.py."""

import json
import subprocess
import sys

import checkpoint_files
import numpy as np
import pytest
from checkpoint_files import CONFIG, FORMATS, native_metadata, small_model, write
from peaked import images, relative_error
from safetensors.numpy import save_file

import minivit

CONVENTIONS = {"google": (1e-6, "tanh"), "timm": (1e-6, "erf"), "hugging_face": (1e-12, "erf"),
               "torchvision": (1e-6, "erf"), "native": (1e-6, "erf")}


def options(format_name):
    return {} if format_name == "native" else {"num_heads": CONFIG.num_heads}


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_loads_as_the_same_model(format_name, tmp_path):
    eps, gelu = CONVENTIONS[format_name]
    model = small_model(layer_norm_eps=eps, gelu=gelu)
    path = write(format_name, FORMATS[format_name](model), tmp_path,
                 native_metadata(model) if format_name == "native" else None)
    loaded = minivit.load(path, dtype="float64", **options(format_name))
    assert loaded.config == model.config
    assert relative_error(loaded(images(CONFIG)), model(images(CONFIG))) <= 1e-12
    for name, array in minivit.state_dict(model).items():
        assert np.array_equal(minivit.state_dict(loaded)[name], array), name


@pytest.mark.parametrize("prefix", ["params/", "opt/target/"])
def test_google_prefixes_linen_names_and_big_vision_positions(prefix, tmp_path):
    model = small_model(gelu="tanh")
    model.params["pos_embed"][:, :1] = 0
    tensors = {}
    for name, array in checkpoint_files.google(model).items():
        for original, linen in (("Attention_1", "Attention_0"), ("LayerNorm_2", "LayerNorm_1"),
                                ("MlpBlock_3", "MlpBlock_0"), ("Transformer/posembed_input/pos", "pos")):
            name = name.replace(original, linen)
        tensors[prefix + name] = array[:, 1:] if "pos_embedding" in name else array
    np.savez(tmp_path / "weights.npz", **tensors)
    loaded = minivit.load(tmp_path / "weights.npz", dtype="float64")
    assert relative_error(loaded(images(CONFIG)), model(images(CONFIG))) <= 1e-12


def test_the_state_of_an_optimiser_is_ignored(tmp_path, capsys):
    tensors = {f"opt/target/{name}": array for name, array in checkpoint_files.google(small_model()).items()}
    np.savez(tmp_path / "weights.npz", **tensors, **{"opt/state/step": np.float32(3)})
    assert list(minivit.load(tmp_path / "weights.npz").origin.ignored) == ["opt/state/step"]
    assert "opt/state/step" in capsys.readouterr().err


@pytest.mark.parametrize("format_name, extra", [("google", "pre_logits/kernel"), ("timm", "pre_logits.fc.weight"),
                                                ("torchvision", "heads.pre_logits.weight")])
def test_a_head_behind_pre_logits_is_left_out_with_it(format_name, extra, tmp_path, capsys):
    model = small_model(gelu=CONVENTIONS[format_name][1])
    tensors = {**FORMATS[format_name](model), extra: np.ones((8, 8), np.float32)}
    loaded = minivit.load(write(format_name, tensors, tmp_path), num_heads=2, dtype="float64")
    assert loaded.config.num_classes == 0 and len(loaded.origin.ignored) == 3
    assert extra in capsys.readouterr().err
    expected = minivit.tracing.trace(model, images(CONFIG))["representation"]
    assert relative_error(loaded(images(CONFIG)), expected) <= 1e-12


def test_half_precision_files(tmp_path):
    """float16 by NumPy; bfloat16 bit by bit: the upper half of a float32."""
    tensors = checkpoint_files.timm(small_model())
    half = {name: array.astype(np.float16) for name, array in tensors.items()}
    save_file(half, tmp_path / "half.safetensors")
    loaded = minivit.state_dict(minivit.load(tmp_path / "half.safetensors", num_heads=2))
    assert all(loaded[name].dtype == np.float32 and np.array_equal(loaded[name], half[name]) for name in half)

    bits = {name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in tensors.items()}
    save_file(bits, tmp_path / "brain.safetensors")
    content = (tmp_path / "brain.safetensors").read_bytes()
    (tmp_path / "brain.safetensors").write_bytes(_as_bfloat16(content))
    loaded = minivit.state_dict(minivit.load(tmp_path / "brain.safetensors", num_heads=2))
    for name in tensors:
        assert np.array_equal(loaded[name], (bits[name].astype(np.uint32) << 16).view(np.float32))


def _as_bfloat16(content):
    """A .safetensors file with its uint16 tensors called bfloat16."""
    length = int.from_bytes(content[:8], "little")
    header = content[8:8 + length].replace(b'"U16"', b'"BF16"')
    return len(header).to_bytes(8, "little") + header + content[8 + length:]


def test_a_hugging_face_folder_tells_heads_eps_gelu_labels_and_preprocessing(tmp_path):
    model = small_model(layer_norm_eps=1e-5, gelu="tanh")
    write("hugging_face", checkpoint_files.hugging_face(model), tmp_path)
    (tmp_path / "weights.safetensors").rename(tmp_path / "model.safetensors")
    config = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
              "intermediate_size": 12, "image_size": 12, "patch_size": 4, "hidden_act": "gelu_new",
              "layer_norm_eps": 1e-5, "id2label": {"0": "ant", "1": "bee", "2": "cat"}}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "resample": 3, "size": {"height": 12, "width": 12}}),
        "utf-8")
    for source in (tmp_path, tmp_path / "model.safetensors"):
        loaded = minivit.load(source, dtype="float64")
        assert loaded.config == model.config and loaded.labels == ["ant", "bee", "cat"]
        assert loaded.preprocessing == minivit.Preprocessing((0.1, 0.2, 0.3), (1, 1, 1), "stretch", 1.0, "bicubic")
        assert relative_error(loaded(images(CONFIG)), model(images(CONFIG))) <= 1e-12
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}), "utf-8")
    with pytest.raises(minivit.CheckpointError, match="num_hidden_layers 3"):
        minivit.load(tmp_path)


def test_heads_are_never_guessed(tmp_path):
    path = write("timm", checkpoint_files.timm(small_model()), tmp_path)
    with pytest.raises(minivit.CheckpointError, match="num_heads"):
        minivit.load(path)
    with pytest.raises(ValueError, match="heads"):
        minivit.load(path, num_heads=3)


def test_overrides(tmp_path):
    path = write("timm", checkpoint_files.timm(small_model()), tmp_path)
    preprocessing = minivit.Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))
    model = minivit.load(path, num_heads=4, layer_norm_eps=1e-3, gelu="tanh", image_size=(8, 16), dtype="float64",
                         resample="google", labels=["a", "b", "c"], preprocessing=preprocessing)
    config = model.config
    assert (config.num_heads, config.layer_norm_eps, config.gelu, config.grid) == (4, 1e-3, "tanh", (2, 4))
    assert (model.dtype, model.labels, model.preprocessing) == (np.float64, ["a", "b", "c"], preprocessing)
    assert model.origin.resample == "google" and model.astype("float32").origin is model.origin
    assert model(images(config)).shape == (3, 3)


@pytest.mark.parametrize("source", ["a packaged model", "a bare state dict"])
@pytest.mark.parametrize("name, value, why", [
    ("gelu", "foo", "is one of erf, tanh, quick"), ("num_heads", 5, "must divide the width"),
    ("image_size", 33, "cannot be cut into patches of 4 x 4"), ("image_size", (12, 33), "cannot be cut"),
    ("image_size", 2048, "more than 65,536 patches"), ("layer_norm_eps", 0, "is a number from 1e-20 to 1"),
    ("pool", "foo", "")])
def test_a_wrong_argument_is_named_and_the_source_is_not_called_damaged(source, name, value, why):
    bare = {} if source == "a packaged model" else {"num_heads": 2}
    sources = ["cifar10"] if source == "a packaged model" else [
        checkpoint_files.timm(small_model()), minivit.state_dict(small_model(position="none"))]
    for weights in sources:
        with pytest.raises(minivit.CheckpointError, match=f"{name}=") as caught:
            minivit.load(weights, **{"image_size": 12, **bare, name: value})
        message = str(caught.value)
        assert "not a whole" not in message and "\n" not in message
        if name != "pool":
            assert message.startswith(f"{name}={value!r} does not fit ") and why in message


@pytest.mark.parametrize("name, value, said", [
    ("num_heads", 0, "num_heads is a whole number from 1"), ("num_heads", "2", "num_heads is a whole number"),
    ("num_heads", np.float64(2), "num_heads is a whole number"), ("num_classes", True, "num_classes is a whole number"),
    ("image_size", 0, "image_size is a whole number from 1 to 4,096"), ("image_size", "12", "image_size is a whole"),
    ("image_size", (12,), "image_size is a number of pixels or"), ("image_size", (12, None), "image_size is a whole"),
    ("preprocessing", {"mean": (0, 0, 0)}, "preprocessing is a minivit.Preprocessing, found {'mean': "),
    ("preprocessing", {}, "preprocessing is a minivit.Preprocessing, found {}")])
def test_an_argument_that_fits_no_weights(name, value, said):
    with pytest.raises(ValueError, match=said) as caught:
        minivit.load(checkpoint_files.timm(small_model()), **{"num_heads": 2, name: value})
    assert not isinstance(caught.value, minivit.CheckpointError)


@pytest.mark.parametrize("size", [np.int64(12), (np.int32(12), np.int64(12)), [12, np.uint8(12)]])
def test_numpys_whole_numbers_are_whole_numbers(size):
    model = minivit.load(checkpoint_files.timm(small_model()), num_heads=np.int64(2), image_size=size,
                         num_classes=np.int8(3))
    config = model.config
    assert config == minivit.load(checkpoint_files.timm(small_model()), num_heads=2).config
    assert all(type(number) is int for number in (config.num_heads, config.num_classes, *config.height_width))


@pytest.mark.parametrize("extra, hint", [
    ("blocks.0.attn.q_norm.weight", "normalised queries"), ("rope.periods", "rotary positions"),
    ("blocks.0.attn.q_bias", ""), ("blocks.0.mlp.fc1_g.weight", ""), ("blocks.0.mlp.norm.weight", ""),
    ("attn_pool.pos_embed", ""), ("blocks.0.attn.norm.weight", "")])
def test_the_first_tensor_without_a_place_is_named(extra, hint, tmp_path):
    path = write("timm", {**checkpoint_files.timm(small_model()), extra: np.ones((1, 1, 8), np.float32)}, tmp_path)
    with pytest.raises(minivit.CheckpointError, match=f"{extra} has no place.*{hint}"):
        minivit.load(path, num_heads=2)


@pytest.mark.parametrize("extra, said", [
    ("blocks.0.ls1.gamma", r"missing blocks\.0\.ls2\.gamma; missing blocks\.1\.ls1"),
    ("attn_pool.latent", r"missing attn_pool\.q\.weight"), ("head_dist.bias", "unexpected head_dist.bias"),
    ("head_dist.weight", "reads the distillation token"), ("dist_token", "cover no square grid"),
    ("norm_pre.weight", r"missing norm_pre\.bias")])
def test_half_a_relative_is_refused(extra, said, tmp_path):
    path = write("timm", {**checkpoint_files.timm(small_model()), extra: np.ones((1, 1, 8), np.float32)}, tmp_path)
    with pytest.raises(ValueError, match=said):
        minivit.load(path, num_heads=2)


def test_what_is_missing_and_misshapen_is_listed(tmp_path):
    tensors = checkpoint_files.torchvision(small_model())
    del tensors["encoder.ln.bias"]
    tensors["heads.head.weight"] = np.ones((3, 9), np.float32)
    with pytest.raises(minivit.CheckpointError) as error:
        minivit.load(write("torchvision", tensors, tmp_path), num_heads=2)
    assert "missing encoder.ln.bias" in str(error.value)
    assert "heads.head.weight has shape (3, 9), expected (3, 8)" in str(error.value)


def test_save_and_load_give_the_same_model(tmp_path):
    model = minivit.load(write("timm", checkpoint_files.timm(small_model()), tmp_path), num_heads=2,
                         labels=["a", "b", "c"], gelu="tanh", layer_norm_eps=1e-4)
    minivit.save(model, tmp_path / "ours.safetensors")
    again = minivit.load(tmp_path / "ours.safetensors")
    assert (again.config, again.labels, again.preprocessing, again.name) == \
        (model.config, model.labels, model.preprocessing, model.name)
    assert all(np.array_equal(a, minivit.state_dict(model)[name]) for name, a in minivit.state_dict(again).items())


def test_loading_a_file_imports_no_torch():
    code = "import minivit, sys; minivit.load(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("source", [3, None, np.zeros(3), "no such model", "no/such/file.npz"])
def test_sources_that_are_none(source):
    with pytest.raises(minivit.CheckpointError):
        minivit.load(source)


KEEP_SAVING = """
import sys, minivit
models = [minivit.init(minivit.ViTConfig(16, 256, 2, 512, 4, 10, 32), seed=seed, layer_norm_eps=10.0 ** -seed)
          for seed in (3, 4)]
while True:
    for model in models:
        minivit.save(model, sys.argv[1])
    print("saved", flush=True)
"""


def test_a_kill_during_save_leaves_a_whole_file(tmp_path):
    path = tmp_path / "model.safetensors"
    config = minivit.ViTConfig(16, 256, 2, 512, 4, 10, 32)
    expected = {10.0 ** -seed: minivit.state_dict(minivit.init(config, seed=seed)) for seed in (3, 4)}
    rng = np.random.default_rng(0)
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KEEP_SAVING, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=rng.uniform(0, 0.2))
        process.kill()
        process.wait()
        process.stdout.close()
        model = minivit.load(path)
        for name, array in minivit.state_dict(model).items():
            assert np.array_equal(array, expected[model.config.layer_norm_eps][name])


def test_a_safetensors_file_that_begins_as_a_pickle_does(tmp_path):
    """Its first bytes are the header's length: 0x80 is one in thirty-two, and also a pickle's first byte."""
    model = small_model()
    for padding in range(0, 256, 8):
        path = tmp_path / f"{padding}.safetensors"
        save_file(minivit.state_dict(model), path, metadata={**native_metadata(model), "note": "x" * padding})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert minivit.load(path).config == model.config


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value):
    tensors = FORMATS["timm"](small_model())
    tensors["blocks.1.mlp.fc2.weight"][3, 2] = value
    with pytest.raises(minivit.CheckpointError, match=r"blocks\.1\.mlp\.fc2\.weight holds values that are NaN"):
        minivit.load(tensors, num_heads=2)


@pytest.mark.parametrize("dtype", [None, "float64", "bfloat16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_saved(value, dtype, tmp_path):
    model, path = small_model(), tmp_path / "model.safetensors"
    minivit.save(model, path)
    before = path.read_bytes()
    model.params["blocks"][1]["mlp"]["fc2"]["weight"][3, 2] = value
    with pytest.raises(ValueError, match=r"^blocks\.1\.mlp\.fc2\.weight holds values that are NaN or infinite"):
        minivit.save(model, path, dtype)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
