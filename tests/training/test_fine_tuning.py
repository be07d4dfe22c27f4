"""Fine-tuning: a run that begins with a model's weights, for other classes, at another size, all of it or the head."""

import json
from dataclasses import replace

import checkpoint_files
import numpy as np
import pytest
from peaked import images, peaked_model, relative_error
from safetensors import safe_open
from toy_data import TINY, colours, write_folder

import minivit
from minivit.checkpoints.new_head import for_classes
from minivit.commands import cli
from minivit.training import frozen
from minivit.training.data import LabelledImages
from minivit.training.dropped import Draw
from minivit.training.loop import train
from minivit.training.optimiser import AdamW
from minivit.training.recipe import Recipe
from minivit.trees import flatten, tree_map

PLAIN = Recipe(epochs=3, batch_size=16, warmup_epochs=0, padding=0, held_out=0, weight_decay=0.3, label_smoothing=0.1,
               largest_gradient=0.05, peak_rate=0.01, head_rate=3.0, freeze=True)
BODY = replace(TINY, num_layers=2, num_classes=5, layer_norm_eps=1e-5, gelu="tanh")


def plain_colours():
    """16 images of one colour each: mirroring does not change them, and their order does not change a mean.

    Six are red, so that the bias has a gradient at the first step: Adam would make a step of its rounding.
    """
    rng = np.random.default_rng(0)
    pixels = np.repeat(rng.integers(0, 256, (16, 1, 3), dtype=np.uint8), 64, axis=1).reshape(16, 8, 8, 3)
    return LabelledImages(pixels, np.array([0, 0, 1] * 5 + [1]), ["blue", "red"], [f"{i:02}.png" for i in range(16)])


@pytest.fixture
def body():
    """A model of five other classes, in float32."""
    return peaked_model(BODY, dtype="float32")


@pytest.fixture
def start(body):
    return for_classes(body, ["blue", "red"])[0]


def of_body(model):
    return {name: a for name, a in flatten(model.params).items() if not name.startswith("head.")}


# The head

def test_other_classes_get_a_head_of_zeros(body):
    own = minivit.Preprocessing(std=(0.2, 0.3, 0.4))
    named = minivit.VisionTransformer(body.config, body.params, labels=list("abcde"), name="m", preprocessing=own)
    found, told = for_classes(named, ["blue", "red"])
    assert told == "m: its head for 5 classes (a, b, c, …) gives way to one of zeros for 2 classes (blue, red)"
    assert found.labels == ["blue", "red"] and found.config == replace(BODY, num_classes=2)
    assert found.preprocessing == own and found.name == "m"
    assert {n: a.shape for n, a in found.params["head"].items()} == {"weight": (16, 2), "bias": (2,)}
    x = images(BODY, dtype="float32")
    bare = minivit.VisionTransformer(replace(BODY, num_classes=0),
                                     {name: part for name, part in body.params.items() if name != "head"})
    np.testing.assert_array_equal(found(x), bare(x) @ np.zeros((16, 2)))
    assert np.abs(body(x)).max() > 0.1 and named.params["head"] is body.params["head"]
    _, told = for_classes(bare, ["blue", "red"])
    assert told == "the model has no head and gets one of zeros for 2 classes (blue, red)"


@pytest.mark.parametrize("labels, stays", [(["blue", "red"], True), (["red", "blue"], False), (None, False)])
def test_a_head_stays_where_the_names_say_that_the_classes_are_the_same(labels, stays):
    model = minivit.init(TINY, labels=labels)
    found, told = for_classes(model, ["blue", "red"])
    assert (found is model) == stays == (told is None)
    assert found.labels == ["blue", "red"] and (np.abs(found.params["head"]["weight"]).max() > 0) == stays


@pytest.mark.parametrize("form", ["google", "timm", "torchvision", "hugging_face"])
def test_load_with_other_classes(form, tmp_path, capsys):
    model = checkpoint_files.small_model(num_heads=2)
    path = checkpoint_files.write(form, getattr(checkpoint_files, form)(model), tmp_path)
    own = minivit.load(path, num_heads=2, dtype="float64")
    x = images(own.config)
    y = minivit.tracing.trace(own, x)["representation"]
    capsys.readouterr()
    bare = minivit.load(path, num_heads=2, dtype="float64", num_classes=0)
    assert bare.config.num_classes == 0 and "head" not in bare.params and relative_error(bare(x), y) <= 1e-14
    assert set(bare.origin.ignored.values()) == {"no head was asked for"} and "left out" not in capsys.readouterr().err
    fresh = minivit.load(path, num_heads=2, dtype="float64", num_classes=7, labels=list("abcdefg"))
    assert (fresh(x) == 0).all() and fresh(x).shape == (3, 7) and fresh.labels == list("abcdefg")
    assert fresh.params["head"]["weight"].dtype == np.float64
    for name, array in of_body(own).items():
        np.testing.assert_array_equal(flatten(fresh.params)[name], array)
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(told) == 1 and "the head for 3 classes gives way to one of zeros for 7" in told[0]
    same = minivit.load(path, num_heads=2, dtype="float64", num_classes=3)
    np.testing.assert_array_equal(same(x), own(x))
    again = minivit.load(path, num_heads=2, num_classes=0)
    minivit.save(again, tmp_path / "bare.safetensors")
    headed = minivit.load(tmp_path / "bare.safetensors", num_classes=4)
    assert headed.config.num_classes == 4 and (headed.params["head"]["weight"] == 0).all()


def test_packaged_labels_go_with_their_head():
    assert minivit.load(num_classes=7).labels is None and len(minivit.load(num_classes=10).labels) == 10
    assert (np.abs(minivit.load(num_classes=10).params["head"]["weight"]) > 0).any()


@pytest.mark.parametrize("wrong", [-1, 2.0, True, 10 ** 8])
def test_a_number_of_classes_that_is_none(wrong):
    with pytest.raises(ValueError, match="num_classes is a whole number from 0"):
        minivit.load(num_classes=wrong)


def test_trace_takes_a_number_of_classes(capsys):
    assert cli.main(["trace", "--num-classes", "0"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("representation")
    assert cli.main(["trace", "--num-classes", "3"]) == 0
    assert "1 x 3" in capsys.readouterr().out.splitlines()[-1]


# A step, against NumPy

def test_a_frozen_run_is_logistic_regression_on_the_representations(tmp_path, start):
    """Three steps written out: softmax regression, clipping, Adam, decay, the cosine and the head's rate."""
    data = plain_colours()
    found = train(data, start.config, PLAIN, tmp_path, start=start, progress=False)
    body = {name: part for name, part in start.astype("float64").params.items() if name != "head"}
    y = minivit.vit.forward(data.images / 127.5 - 1, body, replace(start.config, num_classes=0))[0]        # (B, D)
    t = np.where(np.eye(2)[data.labels] == 1, 0.95, 0.05)                                                  # (B, K)
    w, m, v = np.zeros((17, 2)), np.zeros((17, 2)), np.zeros((17, 2))           # the last row is the bias
    y = np.hstack([y, np.ones((16, 1))])
    clipped = 0
    for step in range(3):
        p = np.exp(y @ w) / np.exp(y @ w).sum(axis=1, keepdims=True)
        g = y.T @ (p - t) / 16
        clipped += np.linalg.norm(g) > 0.05
        g *= min(1, 0.05 / np.linalg.norm(g))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        rate = 3 * 0.01 * (1 + np.cos(np.pi * step / 3)) / 2
        w[:-1] -= rate * 0.3 * w[:-1]
        w -= rate * (m / (1 - 0.9 ** (step + 1))) / (np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
    assert clipped
    head = np.vstack([found.params["head"]["weight"], found.params["head"]["bias"]])
    assert relative_error(head, w) <= 1e-5                                      # float32
    for name, array in of_body(start).items():
        np.testing.assert_array_equal(flatten(found.params)[name], array)


def test_the_first_step_moves_the_head_at_its_rate_and_the_rest_by_decay_alone(tmp_path, start):
    """A head of zeros sends no gradient back: dy = dlogits Wᵀ = 0."""
    recipe = replace(PLAIN, freeze=False, epochs=1)
    found = flatten(train(plain_colours(), start.config, recipe, tmp_path, start=start, progress=False).params)
    for name, array in of_body(start).items():
        decays = name.endswith("weight") and "norm" not in name
        np.testing.assert_allclose(found[name], array * (1 - 0.01 * 0.3 if decays else 1), rtol=1e-6)
    np.testing.assert_allclose(np.abs(found["head.weight"]), 0.03, rtol=1e-3)   # Adam's first step has the rate's size


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_a_rate_for_the_head(rng, decay):
    params = {"head": {"weight": rng.standard_normal((3, 2)), "bias": rng.standard_normal(2)},
              "norm": {"weight": rng.standard_normal(3)}, "blocks": [{"proj": {"weight": rng.standard_normal((3, 3))}}]}
    expected = {name: a.copy() for name, a in flatten(params).items()}
    optimiser, m, v = AdamW.for_params(params), dict.fromkeys(expected, 0), dict.fromkeys(expected, 0)
    for step in (1, 2, 3):
        grads = tree_map(lambda a: rng.standard_normal(a.shape), params)
        optimiser.step(params, grads, 0.1, decay, head_rate=0.25)
        for name, g in flatten(grads).items():
            rate = 0.025 if name in ("head.weight", "head.bias") else 0.1
            m[name], v[name] = 0.9 * m[name] + 0.1 * g, 0.999 * v[name] + 0.001 * g ** 2
            expected[name] *= 1 - rate * decay * (name in ("head.weight", "blocks.0.proj.weight"))
            expected[name] -= rate * m[name] / (1 - 0.9 ** step) / (np.sqrt(v[name] / (1 - 0.999 ** step)) + 1e-8)
    for name, array in flatten(params).items():
        assert relative_error(array, expected[name]) <= 1e-13, name


def test_muon_hands_the_heads_rate_on(tmp_path, start):
    recipe = replace(PLAIN, freeze=False, epochs=1, optimiser="muon")
    found = train(plain_colours(), start.config, recipe, tmp_path, start=start, progress=False)
    np.testing.assert_allclose(np.abs(found.params["head"]["weight"]), 0.03, rtol=1e-3)


@pytest.mark.parametrize("patches, layers", [(0.0, 0.0), (0.5, 0.6)])
def test_the_frozen_pass_is_the_whole_one_less_the_bodys_gradients(patches, layers):
    model = peaked_model(BODY)
    x, targets = images(BODY, B=19), np.random.default_rng(2).dirichlet(np.ones(5), 19)      # at least two chunks
    draw = Draw.of(np.random.default_rng(3), 19, BODY, patches, layers)
    value, grads, logits = frozen.training_pass(model, x, targets, draw)
    whole_value, whole_grads, whole_logits = model.training_pass(x, targets, draw)
    assert list(grads) == ["head"] and abs(value - whole_value) <= 1e-13
    assert relative_error(logits, whole_logits) <= 1e-13
    for name, g in grads["head"].items():
        assert relative_error(g, whole_grads["head"][name]) <= 1e-13


def test_what_is_frozen_has_no_backward_pass_and_no_moments(tmp_path, start, monkeypatch):
    monkeypatch.setattr(minivit.vit, "backward", lambda *_: pytest.fail("a gradient of the body"))
    recipe = replace(PLAIN, average=0.9, held_out=4, batch_size=12)
    found = train(plain_colours(), start.config, recipe, tmp_path, start=start, progress=False)
    with safe_open(tmp_path / "state.safetensors", framework="numpy") as file:
        parts = {name for name in file.keys() if not name.startswith("weights/")}
        weights = file.get_tensor("weights/head.weight")
    assert parts == {f"{part}/head.{name}" for part in ("first", "second", "average") for name in ("weight", "bias")}
    assert relative_error(found.params["head"]["weight"], weights) > 1e-3       # the average is the result
    np.testing.assert_array_equal(found.params["pos_embed"], start.params["pos_embed"])


@pytest.mark.parametrize("freeze", [True, False])
def test_a_stopped_run_goes_on_from_its_state(tmp_path, start, freeze):
    recipe = replace(PLAIN, average=0.9, freeze=freeze, padding=1, batch_size=8)
    for folder, stops in (("whole", [None]), ("stopped", [1, 3, 4, None])):
        for stop in stops:
            train(plain_colours(), start.config, recipe, tmp_path / folder, start=start, progress=False,
                  stop_after=stop)
    whole, stopped = ((tmp_path / folder / "model.safetensors").read_bytes() for folder in ("whole", "stopped"))
    assert whole == stopped


# The command

@pytest.fixture
def command(tmp_path, body):
    """`minivit train` on 8 × 8 pictures from a model of eps 1e-5, GELU by tanh, and a preprocessing of its own."""
    write_folder(colours(), tmp_path / "data")
    own = minivit.Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), crop_fraction=0.9)
    model = minivit.VisionTransformer(body.config, body.params, labels=list("abcde"), name="m", preprocessing=own)
    minivit.save(model, tmp_path / "m.safetensors")
    return ["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--epochs", "2", "--batch-size", "16",
            "--held-out", "16", "--padding", "1"], ["--start", str(tmp_path / "m.safetensors")]


@pytest.mark.parametrize("size, changed", [([], {}), (["--image-size", "12x16"], {"image_size": (12, 16)})])
def test_the_command_takes_all_but_the_head_from_its_model(tmp_path, command, capsys, size, changed):
    base, start = command
    assert cli.main([*base, *start, *size, "--freeze", "--head-rate", "20"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("minivit: ")]
    assert told == ["minivit: m: its head for 5 classes (a, b, c, …) gives way to one of zeros for 2 classes "
                    "(blue, red)"]
    found = minivit.load(tmp_path / "run")
    expected = minivit.load(tmp_path / "m.safetensors", **changed)
    assert found.config == replace(BODY, num_classes=2, **changed) and found.preprocessing == expected.preprocessing
    for name, array in of_body(expected).items():
        np.testing.assert_array_equal(flatten(found.params)[name], array)
    assert np.abs(found.params["head"]["weight"]).min() > 0
    with safe_open(tmp_path / "run" / "model.safetensors", framework="numpy") as file:
        about = json.loads(file.metadata()["minivit"])
    assert about["labels"] == ["blue", "red"] and about["config"]["gelu"] == "tanh"
    assert len((tmp_path / "run" / "log.csv").read_text("utf-8").splitlines()) == 3


def test_a_second_command_begins_with_the_first_ones_head(tmp_path, command, capsys):
    base, start = command
    assert cli.main([*base, *start]) == 0
    assert "head" in capsys.readouterr().err
    first = tmp_path / "run" / "model.safetensors"
    again = [*base, "--start", str(first), "--peak-rate", "1e-9", "--weight-decay", "0"]
    again[again.index("--out") + 1] = str(tmp_path / "again")
    assert cli.main(again) == 0
    assert "head" not in capsys.readouterr().err
    for name, array in flatten(minivit.load(tmp_path / "again").params).items():
        np.testing.assert_allclose(array, flatten(minivit.load(first).params)[name], atol=1e-6)


def test_the_loading_options_are_for_its_model(tmp_path, command):
    base, _ = command
    model = peaked_model(replace(BODY, num_heads=4), dtype="float32")
    path = checkpoint_files.write("timm", checkpoint_files.timm(model), tmp_path)
    options = ["--start", str(path), "--num-heads", "4", "--layer-norm-eps", "1e-5", "--gelu", "tanh"]
    assert cli.main([*base, *options, "--freeze"]) == 0
    assert minivit.load(tmp_path / "run").config == replace(model.config, num_classes=2)


@pytest.mark.parametrize("wrong, said", [
    (["--width", "16"], "--width does not go with --start, whose model has its own"),
    (["--layers", "2"], "--layers does not go"), (["--heads", "2"], "--heads does not go"),
    (["--patch-size", "4"], "--patch-size does not go"), (["--mlp-width", "32"], "--mlp-width does not go"),
    (["--image-size", "10"], "patches of 4 x 4"), (["--freeze", "--optimiser", "muon"], "optimiser muon"),
    (["--head-rate", "0"], "--head-rate is above 0"), (["--head-rate", "nan"], "--head-rate is a number from 0"),
])
def test_options_that_contradict_the_start(tmp_path, command, capsys, wrong, said):
    base, start = command
    refused([*base, *start, *wrong], said, tmp_path, capsys)


@pytest.mark.parametrize("wrong, said", [
    (["--freeze"], "--freeze goes with --start: random weights would stay random"),
    (["--num-heads", "2"], "--num-heads goes with --start"), (["--layer-norm-eps", "0"], "--layer-norm-eps goes with"),
    (["--gelu", "erf"], "--gelu goes with"), (["--pool", "cls"], "--pool goes with"),
    (["--key", "a"], "--key goes with"), (["--prefix", "a."], "--prefix goes with"),
])
def test_options_that_need_a_start(tmp_path, command, capsys, wrong, said):
    refused([*command[0], *wrong], said, tmp_path, capsys)


def refused(arguments, said, tmp_path, capsys):
    assert cli.main(arguments) == 2
    told = capsys.readouterr().err
    assert said in told and told.startswith("minivit: ") and told.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [1, "yes", None])
def test_freeze_is_a_truth_value(wrong):
    with pytest.raises(ValueError, match="freeze is True or False"):
        Recipe(freeze=wrong)
