"""One source for CPU and GPU: everything the package does, on a strict stand-in for CuPy, equals the NumPy run.

No GPU is needed. What the stand-in refuses, and that it refuses planted bugs, is in test_strict_array.py.
"""

import sys
from dataclasses import replace

import numpy as np
import pytest

import minivit
from minivit import loss
from minivit.commands.cli import main
from minivit.engine import devices, tiles
from minivit.engine.devices import to_device
from minivit.explain.answers.occlusion import gradient_map, occlusion_map
from minivit.explain.attention.distance import mean_attention_distance
from minivit.explain.attention.maps import attention_map
from minivit.explain.attention.rollout import rollout
from minivit.explain.gradients.saliency import saliency
from minivit.explain.layers.logit_lens import logit_lens
from minivit.training.data import LabelledImages
from minivit.training.loop import train
from minivit.training.recipe import Recipe
from minivit.trees import flatten, tree_map
from tests.strict_array import StrictArray, fake_cupy, on_host, watched

BASE = minivit.ViTConfig(patch_size=4, width=32, num_layers=2, mlp_width=48, num_heads=4, image_size=(12, 20),
                         num_classes=5)
VARIATIONS = {
    "plain": BASE,
    "tanh": replace(BASE, gelu="tanh"),
    "mean pooling": replace(BASE, pool="mean"),
    "mean pooling without [CLS]": replace(BASE, pool="mean", class_token=False),
    "sin-cos positions": replace(BASE, position="sincos2d"),
    "no positions": replace(BASE, position="none"),
    "no head": replace(BASE, num_classes=0),
}
TOLERANCE = {"float32": 1e-6, "float64": 1e-13}


@pytest.fixture(autouse=True)
def cuda(monkeypatch):
    """CuPy as the stand-in: model.to("cuda") gives StrictArrays."""
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


@pytest.fixture(params=TOLERANCE)
def dtype(request):
    return request.param


@pytest.fixture(params=VARIATIONS)
def config(request):
    return VARIATIONS[request.param]


def models(config, dtype):
    """The same model, with attention that is not flat and biases that are not zero, on the CPU and on the stand-in."""
    rng = np.random.default_rng(1)
    model = minivit.init(config, seed=3, dtype=dtype)
    params = tree_map(lambda a: (1.5 * a + 0.1 * rng.standard_normal(a.shape)).astype(dtype), model.params)
    model = model.with_params(params)
    return model, model.to("cuda")


def batch(config, dtype, size=3):
    """Images, and an upstream gradient that no normalisation cancels."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((size, *config.height_width, 3)).astype(dtype)
    dy = rng.standard_normal((size, config.num_classes or config.width)).astype(dtype)
    return x, dy


def assert_same(found, expected, dtype):
    """Every array of `found` is on the device, in the expected dtype, and has the NumPy run's values."""
    found, expected = flatten(found), flatten(expected)
    assert list(found) == list(expected)
    largest = max(np.linalg.norm(array) for array in expected.values())
    for name, array in found.items():
        assert isinstance(array, StrictArray), f"{name} is no device array"
        assert array.dtype == expected[name].dtype, f"{name} is {array.dtype}"
        assert array.shape == expected[name].shape, name
        difference = np.linalg.norm(on_host(array) - expected[name])
        # A gradient that is zero but for rounding, the key bias's, has only the others' size to be compared with.
        assert difference <= TOLERANCE[dtype] * max(np.linalg.norm(expected[name]), 1e-3 * largest), name


def test_forward_without_a_cache(config, dtype):
    model, device_model = models(config, dtype)
    x, _ = batch(config, dtype)
    device_x = to_device(x, "cuda")
    with watched() as watch:
        logits = device_model(device_x)
    assert_same({"logits": logits}, {"logits": model(x)}, dtype)
    # The one table that is made on the host, sin-cos positions, is the one thing that moves.
    assert (watch.to_device, watch.to_host) == (config.position == "sincos2d", 0)


def test_forward_and_backward(config, dtype):
    model, device_model = models(config, dtype)
    x, dy = batch(config, dtype)
    device_x, device_dy = to_device(x, "cuda"), to_device(dy, "cuda")
    with watched() as watch:
        logits, cache = device_model.forward(device_x)
        dx, grads = device_model.backward(device_dy, cache)
    expected, expected_cache = model.forward(x)
    expected_dx, expected_grads = model.backward(dy, expected_cache)
    assert_same({"logits": logits, "dx": dx}, {"logits": expected, "dx": expected_dx}, dtype)
    assert_same(grads, expected_grads, dtype)
    assert (watch.to_device, watch.to_host) == (config.position == "sincos2d", 0)


def test_queries_by_rows(monkeypatch, dtype):
    model, device_model = models(BASE, dtype)
    x, _ = batch(BASE, dtype)
    expected = model(x)
    block = 3 * BASE.num_heads * BASE.num_tokens * 4
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": block, "cuda": block})
    with watched() as watch:
        logits = device_model(to_device(x, "cuda"))
    assert watch.calls["matmul"] > 4 * 2 * BASE.num_layers
    assert_same({"logits": logits}, {"logits": expected}, dtype)


@pytest.mark.parametrize("labels", ["classes", "probabilities"])
def test_loss_and_gradients(labels, dtype):
    model, device_model = models(BASE, dtype)
    x, _ = batch(BASE, dtype)
    rng = np.random.default_rng(4)
    t = np.array([4, 0, 2]) if labels == "classes" else rng.dirichlet(np.ones(5), 3).astype(dtype)
    device_x, device_t = to_device(x, "cuda"), to_device(t, "cuda")
    with watched() as watch:
        value, grads = device_model.loss_and_gradients(device_x, device_t)
    expected, expected_grads = model.loss_and_gradients(x, t)
    assert value.shape == () and value.dtype == dtype
    assert float(value) == pytest.approx(float(expected), rel=TOLERANCE[dtype])
    assert_same(grads, expected_grads, dtype)
    # Classes are checked to be in range: two numbers are read. Probabilities are taken as they are.
    assert (watch.to_device, watch.to_host) == (0, 2 if labels == "classes" else 0)


def test_labels_as_a_list_follow_the_logits(dtype):
    model, device_model = models(BASE, dtype)
    x, _ = batch(BASE, dtype)
    value, _ = device_model.loss_and_gradients(to_device(x, "cuda"), [4, 0, 2])
    assert float(value) == pytest.approx(float(model.loss_and_gradients(x, np.array([4, 0, 2]))[0]), rel=1e-6)


def training_run(folder, device, stop_after=None, **settings):
    """`train` on 40 random images of four classes, two epochs of four steps. Returns the model."""
    rng = np.random.default_rng(6)
    data = LabelledImages(rng.integers(0, 256, (40, 16, 16, 3), np.uint8), np.arange(40) % 4, list("abcd"),
                          [f"{i}.png" for i in range(40)])
    recipe = Recipe(epochs=2, batch_size=8, held_out=8, warmup_epochs=1, seed=7, **settings)
    return train(data, replace(BASE, image_size=16), recipe, folder, device=device, stop_after=stop_after,
                 save_seconds=1e9, progress=False)


def test_a_training_step_moves_the_batch_and_reads_the_loss(tmp_path):
    runs = []
    for steps in (2, 3):
        with watched() as watch:
            training_run(tmp_path / str(steps), "cuda", stop_after=steps)
        runs.append(watch)
    # One step more: pixels and targets go up, means and deviations of the colours too; the loss, and the logits for the
    # accuracy, come back. Nothing else moves.
    assert runs[1].to_device - runs[0].to_device == 4
    assert runs[1].to_host - runs[0].to_host == 2


def without_key_bias(name, places):
    """The places in a parameter without the key bias: its gradient is zero, and AdamW scales the rounding in it up."""
    is_key = name.endswith("qkv.bias") & (places >= BASE.width) & (places < 2 * BASE.width)
    return places[~is_key]


def test_a_step_with_patches_and_layers_left_out_moves_what_is_kept_too(tmp_path):
    settings = {"patch_dropout": 0.5, "stochastic_depth": 0.5, "optimiser": "muon"}
    runs = []
    for steps in (2, 3):
        with watched() as watch:
            training_run(tmp_path / str(steps), "cuda", stop_after=steps, **settings)
        runs.append(watch)
    # Beside those four: the places of the tokens kept, and of the images that take the second of two layers.
    assert runs[1].to_device - runs[0].to_device == 6
    assert runs[1].to_host - runs[0].to_host == 2


@pytest.mark.parametrize("settings", [
    {}, {"average": 0.9, "mixup": 0.2, "cutmix": 1.0, "erase": 0.5},
    {"optimiser": "muon", "patch_dropout": 0.5, "stochastic_depth": 0.5, "rand_augment": 1}])
def test_a_whole_run_stopped_and_resumed(tmp_path, settings):
    cpu = training_run(tmp_path / "cpu", "cpu", **settings)
    whole = training_run(tmp_path / "whole", "cuda", **settings)
    training_run(tmp_path / "halves", "cuda", stop_after=5, **settings)
    resumed = training_run(tmp_path / "halves", "cuda", **settings)
    start = minivit.init(whole.config, seed=7).params["blocks"][0]["attn"]["qkv"]["weight"]
    assert not np.allclose(on_host(whole.params["blocks"][0]["attn"]["qkv"]["weight"]), start, atol=1e-4)
    for name, array in flatten(whole.params).items():
        assert isinstance(array, StrictArray), name
        np.testing.assert_array_equal(on_host(flatten(resumed.params)[name]), on_host(array), err_msg=name)
        kept = without_key_bias(name, np.arange(len(array)))
        np.testing.assert_allclose(on_host(array)[kept], flatten(cpu.params)[name][kept], rtol=1e-4, atol=1e-5,
                                   err_msg=name)
    losses = [[float(row.split(",")[1]) for row in (tmp_path / run / "log.csv").read_text("utf-8").splitlines()[1:]]
              for run in ("cpu", "whole", "halves")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5) and losses[2] == losses[1]
    saved = minivit.load(tmp_path / "halves" / "model.safetensors")
    assert saved.device == "cpu" and saved.labels == list("abcd")
    np.testing.assert_array_equal(saved.params["head"]["weight"], on_host(whole.params["head"]["weight"]))


def test_trace_and_attention(config, dtype):
    model, device_model = models(config, dtype)
    x, _ = batch(config, dtype)
    expected = minivit.tracing.trace(model, x)
    found = minivit.tracing.trace(device_model, to_device(x, "cuda"))
    assert_same(found, expected, dtype)
    maps = minivit.tracing.attention_maps(device_model, to_device(x, "cuda"))
    assert len(maps) == config.num_layers
    assert_same(dict(enumerate(maps)), dict(enumerate(minivit.tracing.attention_maps(model, x))), dtype)


def test_prediction():
    model = minivit.load()
    photo, expected = minivit.samples.CAT, minivit.forward(minivit.samples.CAT, model)
    found = minivit.forward(photo, model.to("cuda"))
    assert all(isinstance(a, StrictArray) for a in (found.logits, found.probabilities, *found.attention))
    assert [label for label, _ in found.top(5)] == [label for label, _ in expected.top(5)]
    assert [p for _, p in found.top(5)] == pytest.approx([p for _, p in expected.top(5)], rel=1e-5)
    assert repr(found) == repr(expected)
    assert_same({"logits": found.logits, "probabilities": found.probabilities},
                {"logits": expected.logits, "probabilities": expected.probabilities}, "float32")
    assert_same(dict(enumerate(found.attention)), dict(enumerate(expected.attention)), "float32")
    two = minivit.forward([photo, photo], model.to("cuda"))
    assert len(two) == 2 and two[1].top(1)[0][0] == expected.top(1)[0][0]


EXPLANATIONS = {
    "rollout": lambda model, x, maps, steps: rollout(maps),
    "attention map": lambda model, x, maps, steps: attention_map(maps[-1], 0, BASE.grid),
    "logit lens": lambda model, x, maps, steps: logit_lens(model, steps),
    "saliency": lambda model, x, maps, steps: saliency(model, x, 3),
    "occlusion": lambda model, x, maps, steps: occlusion_map(model, x, [1, 4, 0]),
    "gradient map": lambda model, x, maps, steps: gradient_map(model, x, [1, 4, 0]),
}


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_explanations(name):
    results = []
    for model, x in zip(models(BASE, "float64"), [batch(BASE, "float64")[0]] * 2):
        x = to_device(x, model.device)
        steps, maps = minivit.tracing.trace(model, x), minivit.tracing.attention_maps(model, x)
        results.append({name: EXPLANATIONS[name](model, x, maps, steps)})
    assert_same(results[1], results[0], "float64")


def test_attention_distance_is_read_back():
    model, device_model = models(BASE, "float64")
    x, _ = batch(BASE, "float64")
    host = minivit.tracing.attention_maps(model, x)
    device = minivit.tracing.attention_maps(device_model, to_device(x, "cuda"))
    found = mean_attention_distance(device, BASE.grid, BASE.patch_size)
    np.testing.assert_allclose(found, mean_attention_distance(host, BASE.grid, BASE.patch_size), rtol=1e-13)


def test_gradients_of_an_image():
    model = minivit.load(dtype="float64")
    expected = minivit.backward(minivit.samples.CAT, "cat", model)
    found = minivit.backward(minivit.samples.CAT, "cat", model.to("cuda"))
    assert found.loss == pytest.approx(expected.loss, rel=1e-12)
    assert_same({"image": found.image}, {"image": expected.image}, "float64")
    assert_same(found.params, expected.params, "float64")


def test_state_dict_save_and_load(tmp_path, dtype):
    model, device_model = models(BASE, dtype)
    for name, array in minivit.state_dict(device_model).items():
        assert isinstance(array, np.ndarray), name
        np.testing.assert_array_equal(array, minivit.state_dict(model)[name])
    minivit.save(device_model, tmp_path / "model.safetensors")
    again = minivit.load(tmp_path / "model.safetensors", dtype=dtype).to("cuda")
    assert again.device == "cuda" and again.config == BASE
    for name, array in flatten(again.params).items():
        np.testing.assert_array_equal(on_host(array), flatten(model.params)[name], err_msg=name)


def test_gradients_by_timms_names():
    _, device_model = models(BASE, "float32")
    x, _ = batch(BASE, "float32")
    _, grads = device_model.loss_and_gradients(to_device(x, "cuda"), [0, 1, 2])
    named = minivit.state_dict(device_model, grads)
    assert named["patch_embed.proj.weight"].shape == (32, 3, 4, 4)
    assert all(isinstance(array, np.ndarray) for array in named.values())


def test_a_seed_gives_equal_weights_on_both_devices(dtype):
    model = minivit.init("Ti/16", num_classes=3, seed=11, dtype=dtype)
    moved = minivit.init("Ti/16", num_classes=3, seed=11, dtype=dtype).to("cuda")
    assert moved.device == "cuda" and str(moved.dtype) == dtype
    for name, array in flatten(moved.params).items():
        np.testing.assert_array_equal(on_host(array), flatten(model.params)[name], err_msg=name)


def test_moving_there_and_back_changes_nothing(dtype):
    model, device_model = models(BASE, dtype)
    assert device_model.to("cuda").params["head"]["weight"] is device_model.params["head"]["weight"]
    back = flatten(device_model.to("cpu").params)
    assert all(np.array_equal(back[name], array) for name, array in flatten(model.params).items())
    assert device_model.astype("float64").device == "cuda"
    assert "on cuda" in repr(device_model)


def test_an_array_from_the_other_device_names_to():
    model, device_model = models(BASE, "float32")
    x, dy = batch(BASE, "float32")
    device_x = to_device(x, "cuda")
    with pytest.raises(ValueError, match=r"the input is on 'cpu' and the model on 'cuda'.*model\.to\(\"cpu\"\)"):
        device_model(x)
    with pytest.raises(ValueError, match=r"the input is on 'cuda' and the model on 'cpu'.*model\.to\(\"cuda\"\)"):
        model.forward(device_x)
    _, cache = device_model.forward(device_x)
    with pytest.raises(ValueError, match=r"dlogits is on 'cpu'.*\.to\("):
        device_model.backward(dy, cache)
    with pytest.raises(ValueError, match=r"labels is on 'cpu'.*\.to\("):
        device_model.loss_and_gradients(device_x, np.array([0, 1, 2]))
    with pytest.raises(ValueError, match=r"labels is on 'cuda'.*\.to\("):
        loss.forward(model(x), to_device(np.array([0, 1, 2]), "cuda"))


def test_what_is_no_array_is_named():
    model, _ = models(BASE, "float32")
    with pytest.raises(ValueError, match=r"expected a NumPy or CuPy array, found builtins\.list"):
        model([[1.0]])


def test_an_unknown_device():
    with pytest.raises(ValueError, match="a device is \"cpu\" or \"cuda\", found 'tpu'"):
        models(BASE, "float32")[0].to("tpu")


@pytest.mark.parametrize("command", ["predict", "trace"])
def test_the_command_line_on_both_devices(command, capsys, cuda):
    printed = []
    for device in ("cpu", "cuda"):
        with watched() as watch:
            assert main([command, str(minivit.samples.CAT), "--device", device]) == 0
        printed.append(capsys.readouterr().out)
        assert bool(watch.calls) == (device == "cuda")
    assert printed[0].replace("on cpu", "on cuda") == printed[1]


def test_cupy_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    model = minivit.init(BASE)
    with pytest.raises(RuntimeError, match=r'needs CuPy: pip install "minivit\[cuda12\]" or "minivit\[cuda13\]"'):
        model.to("cuda")
    assert model.to("cpu").device == "cpu"


def test_cupy_broken(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libcuda.so.1 cannot be opened')", "utf-8")
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="CuPy is installed but cannot be imported: libcuda"):
        minivit.init(BASE).to("cuda")


def test_no_driver(cuda):
    def fails():
        raise cuda.cuda.runtime.CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    cuda.cuda.runtime.getDeviceCount = fails
    with pytest.raises(RuntimeError, match=r'needs an NVIDIA GPU and a driver.*InsufficientDriver.*use "cpu"'):
        minivit.init(BASE).to("cuda")


class FakeOutOfMemory(MemoryError):
    """Like cupy.cuda.memory.OutOfMemoryError: a MemoryError whose text holds the sizes."""

    def __str__(self):
        return "Out of memory allocating 1,234,567,936 bytes (allocated so far: 8,000,000,000 bytes)."


@pytest.mark.parametrize("use, what", [
    (lambda model, x: model(x), r"3 image\(s\) of 12 x 20 pixels"),
    (lambda model, x: model.forward(x), r"3 image\(s\) of 12 x 20 pixels"),
    (lambda model, x: model.loss_and_gradients(x, [0, 1, 2]), r"3 image\(s\) of 12 x 20 pixels"),
    (lambda model, x: model.backward(x[:, 0, :5, 0], [(slice(0, 3), None)]), r"the gradients of 3 image\(s\)"),
])
def test_out_of_memory_says_what_did_not_fit(monkeypatch, use, what):
    _, device_model = models(BASE, "float32")
    x, _ = batch(BASE, "float32")

    def fails(*args, **kwargs):
        raise FakeOutOfMemory
    monkeypatch.setattr(minivit.vit, "forward", fails)
    monkeypatch.setattr(minivit.vit, "backward", fails)
    message = what + ".*did not fit into memory: .*1,234,567,936 bytes.*fewer or smaller images"
    with pytest.raises(MemoryError, match=message):
        use(device_model, to_device(x, "cuda"))


def test_a_model_too_large_for_the_device(monkeypatch, cuda):
    def fails(array):
        raise FakeOutOfMemory
    cuda.asarray = fails
    with pytest.raises(MemoryError, match=r"the model's [\d,]+ parameters did not fit.*1,234,567,936 bytes"):
        minivit.init(BASE).to("cuda")


def test_cupy_is_not_imported_before_it_is_asked_for(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.setattr("builtins.__import__", refuse_cupy(__import__))
    model = minivit.init(BASE)
    x, _ = batch(BASE, "float32")
    model.loss_and_gradients(x, np.array([0, 1, 2]))
    assert devices.device_of(model(x)) == "cpu" and "cupy" not in sys.modules


def refuse_cupy(real_import):
    def guarded(name, *args, **kwargs):
        assert name.split(".")[0] != "cupy", "CuPy was imported for a model on the CPU"
        return real_import(name, *args, **kwargs)
    return guarded
