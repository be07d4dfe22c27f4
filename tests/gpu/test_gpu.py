"""On a real GPU: the same numbers as NumPy's, and no hidden waiting. `make gpu` runs this; elsewhere it is left out."""

import gc

import numpy as np
import pytest

import minivit
from minivit import gelu, layer_norm, softmax
from minivit.engine import tiles
from minivit.engine.devices import cupy as load_cupy
from minivit.engine.devices import device_of, to_device
from minivit.training import optimiser as optimiser_module
from minivit.training.augmentation import smooth
from minivit.training.optimiser import AdamW, clip
from minivit.training.schedule import learning_rate
from minivit.trees import flatten
from tests.peaked import images, peaked_model, relative_error

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", autouse=True)
def cupy():
    """CuPy with a GPU, or a skip that says what is missing."""
    try:
        return load_cupy()
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("changes", [{}, {"gelu": "tanh", "pool": "mean"}, {"position": "sincos2d"},
                                     {"position": "none", "class_token": False, "pool": "mean"}])
def test_every_configuration_in_float64(changes):
    config = minivit.ViTConfig(patch_size=4, width=24, num_layers=3, mlp_width=40, num_heads=3, num_classes=7,
                               image_size=(16, 20), **changes)
    model, x = peaked_model(config), images(config)
    labels = np.array([0, 6, 3])
    value, grads = model.loss_and_gradients(x, labels)
    device_value, device_grads = model.to("cuda").loss_and_gradients(to_device(x, "cuda"), to_device(labels, "cuda"))
    assert float(device_value) == pytest.approx(float(value), rel=1e-12)
    largest = max(np.linalg.norm(g) for g in flatten(grads).values())
    for name, g in flatten(device_grads).items():
        expected = flatten(grads)[name]
        assert np.linalg.norm(g.get() - expected) <= 1e-11 * max(np.linalg.norm(expected), 1e-3 * largest), name


def chains(put, dtype):
    """{name: array} of every chain that becomes kernels, on arrays that `put` makes."""
    rng = np.random.default_rng(8)
    x, dy = (rng.standard_normal((4, 3, 50, 197)).astype(dtype) for _ in range(2))
    norm = {"weight": put(dy[0, 0, 0]), "bias": put(x[0, 0, 0])}
    found = {}
    for form in ("erf", "tanh"):
        found[f"GELU, {form}"], found[f"GELU's slope, {form}"] = gelu.forward(put(3 * x), form)
    found["softmax"], weights = softmax.forward(put(x))
    found["softmax, backward"] = softmax.backward(put(dy), weights)
    scores = put(x)
    found["softmax in place of the scores"], _ = softmax.forward(scores, out=scores)
    found["softmax of a view"], _ = softmax.forward(put(x).transpose(0, 2, 1, 3))
    found["LayerNorm"], cache = layer_norm.forward(put(5 * x + 2), norm)
    found["LayerNorm, backward"], grads = layer_norm.backward(put(dy), cache)
    found |= {f"LayerNorm, {name}": g for name, g in grads.items()}
    params = {"a.weight": put(x[0, 0]), "b": put(x[0, 0, 0])}
    optimiser = AdamW.for_params(params)
    for rate in (0.1, 0.01):
        grads, found["norm"] = clip({"a.weight": put(dy[0, 0]), "b": put(dy[0, 0, 0])}, 1.0)
        optimiser.step(params, grads, rate, 0.05)
    return found | params | {f"v, {name}": v for name, v in optimiser.second.items()}


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-13)])
def test_every_fused_chain_equals_its_calls_one_by_one_and_numpy(monkeypatch, dtype, tolerance):
    exact = chains(lambda a: a.astype(np.float64), dtype)
    fused = chains(lambda a: to_device(a.copy(), "cuda"), dtype)
    for module in (tiles, optimiser_module):
        monkeypatch.setattr(module, "fused", lambda function, *arrays: function(*arrays))
    one_by_one = chains(lambda a: to_device(a.copy(), "cuda"), dtype)
    for name, expected in exact.items():
        assert fused[name].dtype == dtype, name
        assert relative_error(fused[name].get(), expected) <= 2 * tolerance, name
        assert relative_error(fused[name].get(), one_by_one[name].get()) <= 2 * tolerance, name


def test_a_hundred_training_steps_follow_the_cpu():
    pictures, labels = minivit.samples.cifar10_test()
    start = minivit.init(minivit.load().config, seed=0)
    order = np.random.default_rng(1).permutation(len(labels))           # they come sorted by class
    x = start.prepare(pictures[order])                                  # (100, 32, 32, 3)
    targets = smooth(labels[order], 10, 0.1)                            # (100, 10)
    runs = [losses(start.to(device), x, targets) for device in ("cpu", "cuda")]
    assert runs[0][-1] < 0.7 * runs[0][0]
    np.testing.assert_allclose(runs[1], runs[0], rtol=0, atol=1e-3)


def losses(model, x, targets, steps=100, batch=50):
    """The loss of each of a hundred steps of AdamW, warm-up, cosine and clipping, on the model's device."""
    params = minivit.trees.tree_map(lambda a: a.copy(), model.params)
    model = model.with_params(params)
    optimiser, values = AdamW.for_params(params), []
    for step in range(steps):
        rows = slice(step * batch % len(x), step * batch % len(x) + batch)
        x_now, targets_now = to_device(x[rows], model.device), to_device(targets[rows], model.device)
        value, grads = model.loss_and_gradients(x_now, targets_now)
        grads, _ = clip(grads, 1.0)
        optimiser.step(params, grads, learning_rate(step, steps, 10, 1e-3), 0.05)
        values.append(float(value))
    return values


def test_nothing_waits_for_the_gpu_inside_a_step():
    import cupyx
    model = minivit.init("Ti/16", num_classes=10).to("cuda")
    x = to_device(images(model.config, B=2, dtype="float32"), "cuda")
    targets = to_device(smooth(np.array([1, 2]), 10, 0.1), "cuda")
    optimiser = AdamW.for_params(model.params)
    model.loss_and_gradients(x, targets)
    with cupyx.allow_synchronize(False):
        value, grads = model.loss_and_gradients(x, targets)
        grads, _ = clip(grads, 1.0)
        optimiser.step(model.params, grads, 1e-3, 0.05)
    assert np.isfinite(float(value))


def test_an_image_from_start_to_end(tmp_path):
    model = minivit.load().to("cuda")
    expected, found = minivit.forward(minivit.samples.CAT), minivit.forward(minivit.samples.CAT, model)
    assert repr(found).splitlines()[1:] == repr(expected).splitlines()[1:]
    assert [device_of(a) for a in (found.logits, found.probabilities, *found.attention)] == ["cuda"] * 8
    for name, array in found.trace.items():
        assert relative_error(array.get(), expected.trace[name]) <= 1e-5, name
    gradients = minivit.backward(minivit.samples.CAT, "cat", model)
    assert relative_error(gradients.image.get(), minivit.backward(minivit.samples.CAT, "cat").image) <= 1e-4
    minivit.save(model, tmp_path / "model.safetensors")
    again = minivit.load(tmp_path / "model.safetensors")
    for name, array in flatten(minivit.load().params).items():
        np.testing.assert_array_equal(flatten(again.params)[name], array, err_msg=name)


def test_out_of_memory_names_the_size(cupy):
    gc.collect()
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()                                              # or what is free would not count as taken
    model = minivit.init("Ti/16").to("cuda")
    x = to_device(images(model.config, B=8, dtype="float32"), "cuda")
    before = pool.get_limit()
    pool.set_limit(size=pool.total_bytes() + (1 << 20))
    try:
        with pytest.raises(MemoryError, match=r"8 image\(s\) of 224 x 224 pixels did not fit.*[\d,]+ bytes.*fewer"):
            model(x)
    finally:
        pool.set_limit(size=before)
    assert model(x).shape == (8, 1000)


def test_host_arrays_are_refused_with_a_way_out():
    model = minivit.init("Ti/16").to("cuda")
    with pytest.raises(ValueError, match=r"the input is on 'cpu' and the model on 'cuda'.*\.to\("):
        model(images(model.config, B=1, dtype="float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_seed_gives_equal_weights(dtype):
    device_model = minivit.init("Ti/16", seed=5, dtype=dtype).to("cuda")
    for name, array in flatten(minivit.init("Ti/16", seed=5, dtype=dtype).params).items():
        np.testing.assert_array_equal(flatten(device_model.params)[name].get(), array, err_msg=name)


# Last, since H/14 in float64 on the CPU takes longer than all the others.

@pytest.mark.parametrize("variant", ["Ti/16", "B/16", "H/14"])
def test_forward_and_gradients_in_float32(cupy, variant):
    config = minivit.VARIANTS[variant]
    model = peaked_model(config, dtype="float64")
    x = images(config, B=2)
    dy = np.random.default_rng(7).standard_normal((2, config.num_classes))
    logits, cache = model.forward(x)
    dx, grads = model.backward(dy, cache)
    del cache

    device_model = model.astype("float32").to("cuda")
    device_x, device_dy = (to_device(a.astype(np.float32), "cuda") for a in (x, dy))
    device_logits, device_cache = device_model.forward(device_x)
    device_dx, device_grads = device_model.backward(device_dy, device_cache)

    errors = {"logits, no cache": relative_error(device_model(device_x).get(), logits),
              "logits": relative_error(device_logits.get(), logits), "dx": relative_error(device_dx.get(), dx)}
    expected = flatten(grads)
    for name, g in flatten(device_grads).items():
        assert g.dtype == np.float32, name
        errors[name] = relative_error(g.get(), expected[name])
    del device_cache, device_grads
    cupy.get_default_memory_pool().free_all_blocks()
    assert max(errors.values()) <= 1e-4, sorted(errors.items(), key=lambda item: -item[1])[:5]
