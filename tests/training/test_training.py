"""Training: the optimiser against torch's, the augmentation against naive loops, and runs that stop and go on."""

import contextlib
import csv
import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from platforms import needs_sigkill, needs_sigterm
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from toy_data import SHORT, TINY, colours, write_folder

import minivit
from minivit import loss
from minivit.commands import cli
from minivit.training import augmentation, loop, prepared, record
from minivit.training.evaluation import confusion, evaluate
from minivit.training.loop import train
from minivit.training.optimiser import AdamW, clip
from minivit.training.recipe import Recipe
from minivit.training.schedule import learning_rate
from minivit.training.state import State

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "adamw.npz")


# The optimiser, the schedule and the targets.

def test_adamw_is_torchs():
    names = [name.removeprefix("start/") for name in REFERENCE.files if name.startswith("start/")]
    params = {name: REFERENCE[f"start/{name}"].copy() for name in names}
    optimiser = AdamW.for_params(params)
    for step, rate in enumerate(REFERENCE["rates"]):
        optimiser.step(params, {name: REFERENCE[f"grads/{name}"][step] for name in names}, rate, REFERENCE["decay"])
        for name in names:
            expected = REFERENCE[f"after/{name}"][step]
            assert np.linalg.norm(params[name] - expected) <= 1e-13 * np.linalg.norm(expected), (step, name)


def test_adamw_keeps_float32():
    params = {"head": {"weight": np.ones((2, 2), np.float32)}}
    optimiser = AdamW.for_params(params)
    optimiser.step(params, {"head": {"weight": np.ones((2, 2), np.float32)}}, 0.1, 0.05)
    arrays = [params["head"]["weight"], *optimiser.first.values(), *optimiser.second.values()]
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}


def test_schedule():
    rates = [learning_rate(step, 100, 10, 0.5) for step in range(100)]
    np.testing.assert_allclose(rates[:11], [0.05 * (i + 1) for i in range(10)] + [0.5])
    assert rates[10 + 45] == pytest.approx(0.25)                     # half-way down the cosine
    assert rates[10 + 30] == pytest.approx(0.375)                    # (1 + cos 60°) / 2 = 3/4
    assert 0 < rates[-1] < 0.5 * 0.001
    assert (np.diff(rates[10:]) < 0).all()
    assert learning_rate(100, 100, 10, 0.5) == 0
    assert learning_rate(0, 100, 0, 0.5) == 0.5                      # no warm-up


def test_clip():
    rng = np.random.default_rng(0)
    grads = {"a": rng.standard_normal((3, 4)), "blocks": [{"b": rng.standard_normal(5)}]}
    joint = np.linalg.norm(np.concatenate([grads["a"].ravel(), grads["blocks"][0]["b"]]))
    clipped, norm = clip(grads, 0.5)
    assert norm == pytest.approx(joint)
    np.testing.assert_allclose(clipped["a"], grads["a"] * 0.5 / joint)
    np.testing.assert_allclose(clipped["blocks"][0]["b"], grads["blocks"][0]["b"] * 0.5 / joint)
    unclipped, _ = clip(grads, 2 * joint)
    np.testing.assert_array_equal(unclipped["a"], grads["a"])
    still, norm = clip({"a": np.zeros(3, np.float32)}, 1.0)
    assert norm == 0 and (still["a"] == 0).all() and still["a"].dtype == np.float32


def test_label_smoothing_is_torchs():
    logits, labels = REFERENCE["logits"], REFERENCE["labels"]
    targets = augmentation.smooth(labels, logits.shape[1], float(REFERENCE["smoothing"]))
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert (targets.argmax(axis=1) == labels).all()
    value, _ = loss.forward(logits, targets)
    assert float(value) == pytest.approx(float(REFERENCE["smoothed_loss"]), rel=1e-6)       # targets are float32


# Augmentation.

def crops(image, padding):
    """{(top, left, mirrored): crop} by a naive loop over pixels."""
    H, W, _ = image.shape
    found = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = np.zeros_like(image)
            for y in range(H):
                for x in range(W):
                    row, column = y + top - padding, x + left - padding
                    if 0 <= row < H and 0 <= column < W:
                        crop[y, x] = image[row, column]
            found[top, left, False] = crop
            found[top, left, True] = np.stack([crop[:, W - 1 - x] for x in range(W)], axis=1)
    return found


def test_crop_and_flip_is_one_of_the_naive_crops(rng):
    images = np.repeat(rng.integers(1, 256, (1, 5, 7, 3), dtype=np.uint8), 600, axis=0)
    before = images.copy()
    found = augmentation.crop_and_flip(images, np.random.default_rng(0), padding=1)
    np.testing.assert_array_equal(images, before)
    assert found.shape == images.shape and found.dtype == np.uint8
    naive = {crop.tobytes(): key for key, crop in crops(images[0], 1).items()}
    counts = dict.fromkeys(naive.values(), 0)
    for image in found:
        counts[naive[image.tobytes()]] += 1
    assert len(counts) == 18 and min(counts.values()) > 10           # 33 each are expected
    np.testing.assert_array_equal(augmentation.crop_and_flip(images, np.random.default_rng(0), 1), found)


def test_no_padding_only_mirrors(rng):
    images = rng.integers(0, 256, (20, 4, 6, 3), dtype=np.uint8)
    found = augmentation.crop_and_flip(images, rng, padding=0)
    mirrored = [(f == i[:, ::-1]).all() for f, i in zip(found, images)]
    same = [(f == i).all() for f, i in zip(found, images)]
    assert all(m != s for m, s in zip(mirrored, same)) and 0 < sum(mirrored) < 20


def test_erase_puts_noise_in_one_rectangle(rng):
    images = np.full((200, 16, 12, 3), 7, np.uint8)
    found = augmentation.erase(images, rng, 0.25)
    assert (images == 7).all()
    changed = (found != 7).any(axis=-1)                                                   # (B, H, W)
    assert 25 < changed.any(axis=(1, 2)).sum() < 75
    for mask, image in zip(changed, found):
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            inside = mask[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
            assert inside.mean() > 0.9 and inside.size <= 0.5 * mask.size
            assert len(np.unique(image[mask])) > 1
    assert (augmentation.erase(images, rng, 0) == 7).all()


def test_mixup_and_cutmix_mix_pixels_and_targets_alike():
    """Image b is everywhere of the value b, and its target is one-hot: both tell its share."""
    B = 6
    x = np.broadcast_to(np.arange(B, dtype=np.float32)[:, None, None, None], (B, 8, 10, 3)).copy()
    targets = np.eye(B, dtype=np.float32)
    kinds = set()
    for seed in range(60):
        mixed, aim = augmentation.Mixing.draw(np.random.default_rng(seed), x.shape[:3], 0.8, 1.0).mix(x, targets)
        np.testing.assert_allclose(aim.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), aim @ np.arange(B), atol=1e-5)
        kinds.add(len(np.unique(mixed[0])) > 1)
        pasted, _ = augmentation.Mixing.draw(np.random.default_rng(seed), x.shape[:3], 0, 1.0).mix(x, targets)
        assert set(np.unique(pasted)) <= set(range(B))
        blended, _ = augmentation.Mixing.draw(np.random.default_rng(seed), x.shape[:3], 0.8, 0).mix(x, targets)
        assert (blended == blended[:, :1, :1]).all()
    assert kinds == {True, False}
    assert mixed.dtype == aim.dtype == np.float32
    np.testing.assert_array_equal(x[:, 0, 0, 0], np.arange(B))


def seen_batch(images, labels, recipe, seed):
    """(x, targets) of a batch of two classes, augmented and mixed."""
    batch = augmentation.augmented(images, labels, 2, recipe, np.random.default_rng(seed))
    return augmentation.seen(*batch, minivit.Preprocessing())


@pytest.mark.parametrize("how", [{"mixup": 0.5}, {"cutmix": 1.0}, {"mixup": 0.5, "cutmix": 1.0}])
def test_mixing_is_the_share_of_the_batches_that_are_mixed(how):
    """An unmixed batch aims at whole classes. 400 batches at 0.3: 120 mixed, with a standard deviation of 9.2."""
    labels, images = np.array([0, 1] * 4), colours(8).images
    recipe = replace(SHORT, label_smoothing=0, mixing=0.3, **how)
    aims = [seen_batch(images, labels, recipe, i)[1] for i in range(400)]
    mixed = sum(not np.array_equal(aim, np.eye(2)[labels]) for aim in aims)
    assert 120 - 37 < mixed <= 120 + 37                      # a mixed batch may by chance pair each class with itself
    never = replace(recipe, mixing=0.0)
    x, aim = seen_batch(images, labels, never, 0)
    plain, _ = seen_batch(images, labels, replace(SHORT), 0)
    np.testing.assert_array_equal(aim, np.eye(2)[labels])
    np.testing.assert_array_equal(x, plain)


def test_average_follows_the_weights():
    model = minivit.init(TINY, seed=0)
    state = State.of(model.params, replace(SHORT, average=0.7), model.config)
    expected = model.params["head"]["weight"].astype(float)
    rng = np.random.default_rng(0)
    for step in range(1, 30):
        grads = minivit.trees.tree_map(lambda a: rng.standard_normal(a.shape).astype(a.dtype), model.params)
        state.update(grads, 0.01, replace(SHORT, average=0.7))
        share = min(0.7, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * model.params["head"]["weight"]
    averaged = state.result(model)
    np.testing.assert_allclose(averaged.params["head"]["weight"], expected, atol=1e-6)
    assert np.abs(expected - model.params["head"]["weight"]).max() > 1e-3
    assert State.of(model.params, SHORT, model.config).result(model) is model


def test_without_mirroring_the_shifts_are_the_same(rng):
    images = rng.integers(1, 256, (40, 5, 7, 3), dtype=np.uint8)
    draws = np.random.default_rng(3)
    tops, lefts = draws.integers(0, 3, (2, 40))
    mirrored = draws.random(40) < 0.5
    for on in (True, False):
        found = augmentation.crop_and_flip(images, np.random.default_rng(3), 1, on)
        for image, crop, top, left, flip in zip(images, found, tops, lefts, mirrored):
            np.testing.assert_array_equal(crop, crops(image, 1)[top, left, bool(flip and on)])


# Runs.

def run(folder, recipe=SHORT, data=None, config=TINY, **options):
    options = {"progress": False, **options}
    return train(colours() if data is None else data, config, recipe, folder, **options)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def log(folder):
    """The log's rows but for the speed, which no run repeats."""
    with open(folder / "log.csv", encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(file)]


TWO = replace(TINY, num_layers=2)
MANY = replace(SHORT, average=0.9, mixup=0.4, cutmix=1.0, erase=0.3, optimiser="muon", patch_dropout=0.5,
               stochastic_depth=0.3, rand_augment=2, magnitude=0.7, mixing=0.5, mimetic=True, whiten=True)


@pytest.mark.parametrize("config, recipe", [(TINY, SHORT), (TWO, MANY)], ids=["plain", "with every option"])
def test_a_stopped_run_ends_with_the_same_weights_to_the_bit(tmp_path, config, recipe):
    run(tmp_path / "whole", recipe, config=config)
    assert len(log(tmp_path / "whole")) == 3
    for stops in ([1], [3], [4], [8], [11], [12], [2, 2, 7, 9]):               # an epoch has 4 steps
        folder = tmp_path / "-".join(map(str, stops))
        for stop in stops:
            run(folder, recipe, config=config, stop_after=stop)
            assert (folder / "model.safetensors").exists() == (stop >= 4)      # the model so far, after each epoch
        run(folder, recipe, config=config)
        assert weights(folder) == weights(tmp_path / "whole"), stops
        assert log(folder) == log(tmp_path / "whole"), stops


@pytest.mark.parametrize("name", ["optimiser", "patch_dropout", "stochastic_depth", "rand_augment", "magnitude"])
def test_every_option_has_its_effect(tmp_path, name):
    other = {"magnitude": 0.2}.get(name, getattr(Recipe(), name))
    some = replace(SHORT, optimiser="muon", patch_dropout=0.5, stochastic_depth=0.3, rand_augment=2)
    found = [run(tmp_path / str(place), recipe, config=TWO, stop_after=2)
             for place, recipe in enumerate((some, replace(some, **{name: other})))]
    assert distance(*found) > 1e-4


def test_without_them_the_random_numbers_are_those_of_before(tmp_path, monkeypatch):
    """Options that are off draw nothing: a run of an older version goes on with the images that it would have had."""
    seen = []
    monkeypatch.setattr(augmentation, "normalise",
                        lambda images, _: seen.append(images) or np.zeros(images.shape, np.float32))
    monkeypatch.setattr(loop, "evaluate", lambda *_: {})
    run(tmp_path, stop_after=1)
    data, recipe = colours(), SHORT
    kept = np.sort(np.random.default_rng([recipe.seed]).permutation(len(data))[recipe.held_out:])
    first = np.random.default_rng([recipe.seed, 0]).permutation(kept)[:recipe.batch_size]
    rng = np.random.default_rng([recipe.seed, 0, 0])
    np.testing.assert_array_equal(seen[0], augmentation.crop_and_flip(data.images[first], rng, recipe.padding))


def test_a_run_without_mirroring_shows_no_image_mirrored(tmp_path, monkeypatch):
    """Three epochs of 64 images: each that a step sees is one of its nine shifts, and of every shift some are seen."""
    seen, data = [], colours()
    original = augmentation.seen
    monkeypatch.setattr(loop, "seen", lambda images, *rest: seen.extend(images) or original(images, *rest))
    run(tmp_path, replace(SHORT, mirror=False))
    shifts = {crop.tobytes(): key for image in data.images for key, crop in crops(image, 1).items()}
    found = [shifts[image.tobytes()] for image in seen]
    assert len(found) == 192 and not any(mirrored for _, _, mirrored in found) and len(set(found)) == 9


def test_the_command_turns_mirroring_off(tmp_path):
    write_folder(colours(), tmp_path / "data")
    base = ["train", str(tmp_path / "data"), "--epochs", "1", "--batch-size", "16", "--held-out", "16", "--width", "16",
            "--layers", "1", "--heads", "2", "--mlp-width", "16", "--image-size", "8", "--padding", "1"]
    for place, option in (("with", []), ("without", ["--no-mirror"])):
        assert cli.main([*base, "--out", str(tmp_path / place), *option]) == 0
        with safe_open(tmp_path / place / "state.safetensors", framework="numpy") as file:
            assert json.loads(file.metadata()["about"])["recipe"]["mirror"] is (not option)


def test_patch_dropout_falls_to_nothing(tmp_path, monkeypatch):
    shares = []
    original = loop.Draw.of
    monkeypatch.setattr(loop.Draw, "of", lambda rng, images, config, share, rate: shares.append((share, rate))
                        or original(rng, images, config, share, rate))
    recipe = replace(SHORT, patch_dropout=0.6, stochastic_depth=0.2)
    run(tmp_path, recipe, config=TWO, stop_after=5)
    run(tmp_path, recipe, config=TWO)
    np.testing.assert_allclose(shares, [(0.6 * (1 - step / 12), 0.2) for step in range(12)])


def test_the_speed_is_that_of_training_alone(tmp_path, monkeypatch):
    """A clock that only moves in a step, by 2 s, and while the images held out are looked at."""
    now = [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    step, look = loop._step, loop.evaluate
    monkeypatch.setattr(loop, "_step", lambda *args: (now.__setitem__(0, now[0] + 2), step(*args))[1])
    monkeypatch.setattr(loop, "evaluate", lambda *args: (now.__setitem__(0, now[0] + 500), look(*args))[1])
    run(tmp_path, replace(SHORT, rand_augment=1), stop_after=6)
    run(tmp_path, replace(SHORT, rand_augment=1))
    with open(tmp_path / "log.csv", encoding="utf-8", newline="") as file:
        assert [float(row["images_per_second"]) for row in csv.DictReader(file)] == [8.0] * 3


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(tmp_path, workers):
    run(tmp_path / "alone", MANY, config=TWO)
    run(tmp_path / "together", MANY, config=TWO, workers=workers, stop_after=6)
    run(tmp_path / "together", MANY, config=TWO, workers=workers)
    assert weights(tmp_path / "together") == weights(tmp_path / "alone")
    assert log(tmp_path / "together") == log(tmp_path / "alone")


def test_batches_come_in_order_whoever_is_first(monkeypatch):
    """Jobs that end in the reverse order, and no more of them under way than said."""
    class Pool:
        def __init__(self):
            self.waiting, self.most = [], 0

        def submit(self, function, i):
            self.waiting.append(future := Future())
            self.most = max(self.most, sum(not f.done() for f in self.waiting))
            future.result = lambda: ([f.set_result(None) for f in reversed(self.waiting) if not f.done()], i)[1]
            return future

    pool = Pool()
    assert list(prepared.in_order(pool, iter([(i,) for i in range(10)]), 4)) == list(range(10))
    assert pool.most <= 4


def killed(*job):
    """In the place of a worker's batch."""
    os._exit(1)


def test_a_killed_worker_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "batch", killed)
    with pytest.raises(RuntimeError, match=r"one of the 2 workers that prepare batches was killed.*give fewer"):
        run(tmp_path, workers=2)


@needs_sigterm
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_workers_end_with_a_process_that_is_killed(tmp_path, how):
    """They share its standard output, which ends with the last of them. Their group ends with the test, however."""
    write_folder(colours(), tmp_path / "data")
    command = [sys.executable, "-m", "minivit", "train", tmp_path / "data", "--image-size", "8", "--width", "16",
               "--layers", "1", "--heads", "2", "--mlp-width", "32", "--epochs", "100000", "--batch-size", "16",
               "--workers", "2", "--save-seconds", "0", "--out", tmp_path / "run"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        while not (tmp_path / "run" / "log.csv").exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.Signals[how])
        assert process.communicate(timeout=60)[0] == b"" and process.returncode == -signal.Signals[how]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_run_depends_on_its_seed(tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "b", replace(SHORT, seed=6))
    assert weights(tmp_path / "a") != weights(tmp_path / "b")


def test_stopped_between_an_epochs_last_step_and_its_row(tmp_path, monkeypatch):
    run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "stopped", save_seconds=-1)
    with safe_open(tmp_path / "stopped" / "state.safetensors", framework="numpy") as file:
        progress = json.loads(file.metadata()["progress"])
    assert progress["step"] == 4 and progress["log"] == []
    run(tmp_path / "stopped")
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")
    assert log(tmp_path / "stopped") == log(tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(tmp_path):
    run(tmp_path)
    before = weights(tmp_path)
    run(tmp_path)
    assert weights(tmp_path) == before and len(log(tmp_path)) == 3


@needs_sigkill
def test_killed_at_any_moment(tmp_path):
    """A real process, killed again and again: each time the state is whole, and nothing before its step is lost."""
    write_folder(colours(), tmp_path / "data")
    command = [sys.executable, "-m", "minivit", "train", str(tmp_path / "data"), "--image-size", "8", "--width", "16",
               "--layers", "1", "--heads", "2", "--mlp-width", "32", "--epochs", "30", "--batch-size", "16",
               "--held-out", "16", "--save-seconds", "0", "--out"]

    def steps():
        with safe_open(tmp_path / "killed" / "state.safetensors", framework="numpy") as file:
            return json.loads(file.metadata()["progress"])["step"]

    chance, reached, kills = random.Random(1), 0, 0
    for _ in range(3):
        process = subprocess.Popen([*command, str(tmp_path / "killed")], stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL)
        while process.poll() is None and not (reached_now := _moved_on(tmp_path / "killed", reached, steps)):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        assert steps() >= reached_now >= reached
        reached = steps()
    assert kills >= 1
    assert subprocess.run([*command, str(tmp_path / "killed")], capture_output=True).returncode == 0
    assert subprocess.run([*command, str(tmp_path / "whole")], capture_output=True).returncode == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".*"))


def _moved_on(folder, reached, steps):
    """The step that the state on disk has, once it is past `reached`, else None."""
    now = steps() if (folder / "state.safetensors").exists() else 0
    return now if now > reached else None


def test_learns(tmp_path):
    recipe = Recipe(epochs=12, batch_size=32, peak_rate=5e-3, warmup_epochs=1, padding=0, held_out=64, seed=0)
    model = train(colours(512), TINY, recipe, tmp_path, progress=False)
    result = evaluate(model, colours(200, seed=1))
    assert result["accuracy"] > 0.95
    rows = log(tmp_path)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) and float(rows[-1]["held_out_accuracy"]) > 0.95
    loaded = minivit.load(tmp_path / "model.safetensors")
    assert loaded.labels == ["blue", "red"]
    image = colours(1, seed=2)
    prediction = minivit.forward(image.images[0], loaded.to("cpu"))
    assert prediction.top(1)[0][0] == image.classes[image.labels[0]]


def test_evaluate_and_confusion():
    model = minivit.init(TINY, seed=0, labels=["blue", "red"])
    data = colours(30)
    result = evaluate(model, data, batch_size=7)
    logits = model(minivit.images.preparation.normalise(data.images, model.preprocessing)).astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result["probabilities"], p, atol=1e-5)
    assert result["loss"] == pytest.approx(-np.mean([math.log(p[i, k]) for i, k in enumerate(data.labels)]), rel=1e-5)
    assert result["accuracy"] == pytest.approx(np.mean(p.argmax(axis=1) == data.labels))
    np.testing.assert_array_equal(confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3),
                                  [[1, 1, 0], [0, 1, 0], [1, 0, 0]])


def test_the_hashes_are_of_the_images_used(tmp_path):
    data = colours()
    run(tmp_path, stop_after=1)
    lines = (tmp_path / record.HASHES).read_text("utf-8").splitlines()
    assert lines == [f"{hashlib.sha256(bytes(image.ravel().tolist())).hexdigest()}  {name}"
                     for image, name in zip(data.images, data.names)]


@pytest.mark.parametrize("name", ["a\rb.png", "a\nb.png", "a\r\nb.png", "b.png\r", "caf\udce9.png"])
def test_a_run_goes_on_whatever_its_images_are_called(tmp_path, name):
    data = colours()
    data.names[3] = name
    run(tmp_path, data=data, stop_after=1)
    lines = (tmp_path / record.HASHES).read_bytes().split(hashlib.sha256(data.images[3].tobytes()).hexdigest().encode())
    after = hashlib.sha256(data.images[4].tobytes()).hexdigest().encode()
    assert lines[1].split(after)[0] == b"  " + name.encode("utf-8", "surrogateescape") + b"\n"
    run(tmp_path, data=data)
    data.names[3] = name.replace("\r", "\n") if "\r" in name else "other.png"
    assert "other images" in refused(minivit.CheckpointError, tmp_path, data=data)


def test_hashes_with_the_line_ends_of_windows(tmp_path, monkeypatch):
    """A run on Windows from before hashes were written as bytes goes on."""
    run(tmp_path, stop_after=1)
    path = tmp_path / record.HASHES
    plain = path.read_bytes()
    path.write_bytes(plain.replace(b"\n", b"\r\n"))
    monkeypatch.setattr(record.os, "linesep", "\r\n")
    run(tmp_path, stop_after=2)
    assert path.read_bytes() == plain


def test_the_curve_grows(tmp_path):
    run(tmp_path, curve=True, stop_after=5)
    first = (tmp_path / record.CURVE).read_bytes()
    run(tmp_path, replace(SHORT), curve=True)
    second = (tmp_path / record.CURVE).read_bytes()
    assert first[:4] == second[:4] == b"\x89PNG" and first != second


def test_an_error_in_drawing_costs_no_epoch(tmp_path, monkeypatch):
    run(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "draw_curve", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / "stopped", curve=True)
    with safe_open(tmp_path / "stopped" / "state.safetensors", framework="numpy") as file:
        assert len(json.loads(file.metadata()["progress"])["log"]) == 1
    run(tmp_path / "stopped", curve=True)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")


def test_a_clock_that_stands_still(tmp_path, monkeypatch):
    monkeypatch.setattr(loop.time, "perf_counter", lambda: 7.0)
    run(tmp_path, stop_after=5)
    with open(tmp_path / "log.csv", encoding="utf-8", newline="") as file:
        assert [float(row["images_per_second"]) for row in csv.DictReader(file)] == [0.0]


def test_progress_shows_loss_accuracy_and_speed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")                    # tqdm cuts its line to the terminal's width
    monkeypatch.setenv("LINES", "40")
    run(tmp_path, progress=True)
    told = capsys.readouterr()
    assert told.out == ""
    for part in ("epoch 3/3", "4/4", "loss 0.", "accuracy ", "images/s"):
        assert part in told.err


# A start from given weights.

FAINT = replace(SHORT, peak_rate=1e-9, weight_decay=0)


@pytest.fixture
def start():
    """A model of the runs' config and classes, with other weights than the recipe's seed draws."""
    return minivit.init(TINY, seed=11, labels=["blue", "red"], dtype="float64")


def distance(model, other):
    a, b = (np.concatenate([leaf.ravel() for leaf in minivit.trees.flatten(m.params).values()]) for m in (model, other))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_a_run_starts_from_the_weights_given(tmp_path, start):
    found = run(tmp_path / "start", FAINT, start=start)
    assert 0 < distance(found, start) < 1e-6 and found.dtype == np.float32
    assert distance(run(tmp_path / "random", FAINT), start) > 0.1
    averaged = run(tmp_path / "averaged", replace(FAINT, average=0.9), start=start)
    assert distance(averaged, start) < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_start_is_not_changed(tmp_path, start, dtype):
    start = start.astype(dtype)
    before = minivit.trees.tree_map(np.copy, start.params)
    assert distance(run(tmp_path, start=start), start) > 1e-3
    minivit.trees.tree_map(np.testing.assert_array_equal, start.params, before)


def test_a_stopped_run_with_a_start_goes_on(tmp_path, start):
    run(tmp_path / "whole", start=start)
    run(tmp_path / "stopped", start=start, stop_after=5)
    run(tmp_path / "stopped", start=start)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")


@pytest.mark.parametrize("first, then", [("start", "other"), ("start", None), (None, "start")])
def test_going_on_with_another_start(tmp_path, start, first, then):
    starts = {"start": start, "other": minivit.init(TINY, seed=12, labels=start.labels), None: None}
    run(tmp_path, start=starts[first], stop_after=2)
    message = refused(minivit.CheckpointError, tmp_path, start=starts[then])
    assert "belongs to another run, with start" in message


@pytest.mark.parametrize("changes, said", [
    ({"width": 32}, "its width is 32, expected 16"), ({"layer_norm_eps": 1e-5}, "its layer_norm_eps is 1e-05"),
    ({"labels": ["red", "blue"]}, r"its classes is \['red', 'blue'\], expected \['blue', 'red'\]"),
    ({"labels": None}, "its classes is None"),
])
def test_a_start_that_does_not_fit(tmp_path, changes, said):
    start = minivit.init(TINY, seed=1, **{"labels": ["blue", "red"], **changes})
    with pytest.raises(ValueError, match=said) as caught:
        run(tmp_path, start=start)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_the_command_starts_from_a_file(tmp_path, start, capsys):
    write_folder(colours(), tmp_path / "data")
    minivit.save(start, tmp_path / "start.safetensors")
    command = ["train", str(tmp_path / "data"), "--epochs", "1", "--batch-size", "16", "--held-out", "16",
               "--peak-rate", "1e-9", "--weight-decay", "0", "--out", str(tmp_path / "run"), "--start"]
    assert cli.main([*command, str(tmp_path / "start.safetensors")]) == 0
    assert distance(minivit.load(tmp_path / "run" / "model.safetensors"), start) < 1e-6
    capsys.readouterr()
    assert cli.main([*command, "nonsense"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("minivit: no file nonsense") and told.count("\n") == 1


# Bad input.

def refused(kind, folder, recipe=SHORT, **options):
    with pytest.raises(kind) as caught:
        run(folder, recipe, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_run_in_the_folder(tmp_path):
    run(tmp_path, stop_after=2)
    assert "recipe seed 5, not 6" in refused(minivit.CheckpointError, tmp_path, replace(SHORT, seed=6))
    assert "recipe mixup 0.0, not 0.5" in refused(minivit.CheckpointError, tmp_path, replace(SHORT, mixup=0.5))
    assert "recipe optimiser 'adamw', not 'muon'" in refused(minivit.CheckpointError, tmp_path,
                                                             replace(SHORT, optimiser="muon"))
    assert "images 80, not 90" in refused(minivit.CheckpointError, tmp_path, data=colours(90))
    with pytest.raises(minivit.CheckpointError, match="config width 16, not 32"):
        train(colours(), replace(TINY, width=32), SHORT, tmp_path, progress=False)
    assert "other images" in refused(minivit.CheckpointError, tmp_path, data=colours(seed=1))
    run(tmp_path)                                                             # and the refused left no mark


def test_a_state_from_before_a_setting_existed_goes_on(tmp_path):
    run(tmp_path / "whole")
    run(tmp_path / "old", stop_after=6)
    path = tmp_path / "old" / "state.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    about = json.loads(metadata["about"])
    for name in ("average", "mixup", "cutmix", "erase", "patch_dropout", "stochastic_depth", "optimiser",
                 "rand_augment", "magnitude", "mixing", "head_rate", "freeze", "mirror", "calibrate", "mimetic",
                 "whiten"):
        del about["recipe"][name]
    save_file(load_file(path), path, metadata | {"about": json.dumps(about)})
    run(tmp_path / "old")
    assert weights(tmp_path / "old") == weights(tmp_path / "whole")


@pytest.mark.parametrize("recipe", [SHORT, replace(SHORT, optimiser="muon")], ids=["AdamW", "Muon"])
def test_the_state_holds_every_array_of_the_optimiser(tmp_path, recipe):
    run(tmp_path, recipe, stop_after=2)
    found = load_file(tmp_path / "state.safetensors")
    state = State.of(minivit.init(TINY, seed=0).params, recipe, TINY)
    assert sorted(found) == sorted(state.arrays())
    parts = {name.partition("/")[0] for name in found}
    assert parts == {"weights", "first", "second"} | ({"momentum"} if recipe.optimiser == "muon" else set())
    assert all(np.abs(array).max() > 0 for array in found.values())
    with safe_open(tmp_path / "state.safetensors", framework="numpy") as file:
        about = json.loads(file.metadata()["about"])
    state.restore(tmp_path, about)
    assert state.step == state.optimiser.steps == 2
    for name, array in state.arrays().items():
        np.testing.assert_array_equal(array, found[name], name)


def test_what_a_killed_run_left_behind_is_taken_away(tmp_path):
    """A file half-written, the folder that safetensors wrote into, and what is not ours."""
    left = [tmp_path / f".{name}.x1_y2.part{ending}" for name, ending in (
        ("state.safetensors", ".safetensors"), ("log.csv", ".csv"), ("curve.png", ".png"))]
    inside = tmp_path / ".model.safetensors.x1_y2.part" / ".tmpAb12Cd"
    inside.parent.mkdir()
    for path in (*left, inside, tmp_path / ".tmpAb12Cd"):
        path.write_bytes(b"half")
    run(tmp_path, stop_after=1)
    assert [path.name for path in tmp_path.glob(".*")] == [".tmpAb12Cd"]


def test_damaged_states(tmp_path):
    run(tmp_path, stop_after=2)
    path = tmp_path / "state.safetensors"
    whole = path.read_bytes()
    for cut in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert "is damaged" in refused(minivit.CheckpointError, tmp_path)
    path.write_bytes(b"not a state" * 99)
    assert "is damaged" in refused(minivit.CheckpointError, tmp_path)
    save_file({"weights/head.bias": np.zeros(2, np.float32)}, path)
    assert "is damaged" in refused(minivit.CheckpointError, tmp_path)
    path.write_bytes(whole)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    save_file({"weights/head.bias": np.zeros(2, np.float32)}, path, metadata)
    assert "is damaged" in refused(minivit.CheckpointError, tmp_path)


@pytest.mark.parametrize("settings, said", [
    ({"epochs": 0}, "epochs is a whole number from 1 to 1,000,000, found 0"),
    ({"batch_size": 1.5}, "batch_size is a whole number"),
    ({"peak_rate": 0}, "peak_rate is above 0"), ({"peak_rate": math.nan}, r"peak_rate is a number from 0 to 1e\+30"),
    ({"label_smoothing": 1}, "label_smoothing is at least 0 and below 1"), ({"average": 1}, "average is at least 0"),
    ({"weight_decay": -1}, "weight_decay is a number from 0"), ({"mixup": -1}, "mixup is a number from 0"),
    ({"erase": 2}, "erase is a number from 0 to 1, found 2"), ({"seed": -1}, "seed is a whole number"),
    ({"optimiser": "sgd"}, "optimiser is \"adamw\" or \"muon\", found 'sgd'"),
    ({"patch_dropout": 1}, "patch_dropout is at least 0 and below 1"),
    ({"stochastic_depth": -0.1}, "stochastic_depth is a number from 0 to 1, found -0.1"),
    ({"rand_augment": 1.5}, "rand_augment is a whole number from 0 to 100, found 1.5"),
    ({"rand_augment": 1, "magnitude": 9}, "magnitude is a number from 0 to 1, found 9"),
    *(({name: value}, name) for name in ("epochs", "batch_size", "padding", "held_out", "seed", "rand_augment")
      for value in (True, "3", None, 3.0, 10 ** 30, math.nan)),
    *(({name: value}, name) for name in ("peak_rate", "largest_gradient", "weight_decay", "warmup_epochs", "mixup",
                                         "cutmix", "label_smoothing", "average", "patch_dropout", "stochastic_depth",
                                         "erase", "magnitude")
      for value in (True, "3", None, 1e300, math.nan, math.inf, [])),
    ({"magnitude": 0.3}, "magnitude 0.3 changes nothing without rand_augment"),
    ({"mixup": 1, "mixing": 1.5}, "mixing is a number from 0 to 1, found 1.5"),
    ({"mixing": 0.5}, "mixing 0.5 changes nothing without mixup or cutmix"),
    *(({name: value}, f"{name} is True or False, found") for name in ("mirror", "mimetic", "whiten")
      for value in (0, 1, None, "no", [])),
])
def test_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**settings)


@pytest.mark.parametrize("kind", [np.float32, np.float64, int])
def test_settings_of_numpys_types(tmp_path, kind):
    """A rate out of np.geomspace is a number as any other, and the state, which is JSON, can hold it."""
    recipe = replace(SHORT, peak_rate=kind(1), mixup=kind(1))
    assert type(recipe.peak_rate) is type(recipe.mixup) is float and recipe.peak_rate == recipe.mixup == 1
    run(tmp_path, recipe, stop_after=1)
    run(tmp_path, replace(SHORT, peak_rate=1, mixup=1.0), stop_after=2)


def test_too_few_images_for_a_batch(tmp_path):
    message = refused(ValueError, tmp_path, replace(SHORT, batch_size=65))
    assert "64 training images do not fill one batch of 65" in message


@pytest.mark.parametrize("settings, said", [
    ({"padding": 8}, "padding 8 could shift an image of 8 x 8 pixels out of sight"),
    ({"stochastic_depth": 0.1}, "it needs at least 2 layers, found 1"),
])
def test_settings_that_do_not_fit_the_model(tmp_path, settings, said):
    assert said in refused(ValueError, tmp_path, replace(SHORT, **settings))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_lost_is_told(tmp_path):
    message = refused(ValueError, tmp_path, replace(SHORT, peak_rate=1e30))
    assert "the loss is" in message and "smaller peak_rate" in message


# States that someone has changed.

def tampered(folder, change):
    """Change the JSON of what the state says of its run, and of how far it is."""
    path = folder / "state.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = {key: json.loads(text) for key, text in file.metadata().items()}
    change(metadata)
    save_file(load_file(path), path, {key: text if isinstance(text, str) else json.dumps(text)
                                      for key, text in metadata.items()})


@pytest.mark.parametrize("part, value", [
    ("step", -1), ("step", 5.0), ("step", True), ("step", "5"), ("step", 10 ** 9), ("step", 4), ("step", None),
    ("log", None), ("log", ""), ("log", 3), ("log", []), ("log", [{}]), ("log", ["row"]), ("log", {"epoch": 1}),
    ("sums", None), ("sums", {}), ("sums", []),
    *((("log", 0, name), value) for name in record.ROW[1:] for value in ("x", True, -1, math.inf, [])),
    (("log", 0, "epoch"), 2), (("log", 0, "loss"), None),
    *((("sums", name), value) for name in ("loss", "right", "images", "seconds")
      for value in ("x", True, -1, math.inf, None, [])),
    (("sums", "images"), 15), (("sums", "images"), 0), (("sums", "right"), 17),
])
def test_a_state_whose_progress_is_changed(tmp_path, part, value):
    """After 5 steps: one epoch of 4 in the log, and one step of 16 images in the sums."""
    run(tmp_path, stop_after=5)

    def change(metadata):
        *path, last = ("progress", part) if isinstance(part, str) else ("progress", *part)
        place = metadata
        for key in path:
            place = place[key]
        place[last] = value

    tampered(tmp_path, change)
    assert "state.safetensors is damaged: " in refused(minivit.CheckpointError, tmp_path)


def test_a_state_of_more_epochs_than_the_run_has(tmp_path):
    """A row is added to the log for each epoch that there cannot have been, and the steps that go with it."""
    run(tmp_path, stop_after=5)

    def change(metadata):
        progress = metadata["progress"]
        first = progress["log"][0]
        progress["log"] = [{**first, "epoch": i + 1} for i in range(SHORT.epochs)]
        progress["step"] = 4 * SHORT.epochs + 1

    tampered(tmp_path, change)
    assert f"step is a whole number from 0 to {4 * SHORT.epochs}" in refused(minivit.CheckpointError, tmp_path)


@pytest.mark.parametrize("about", ["[]", "3", "null", "{}", '{"recipe": []}', '{"recipe": 7}', "[" * 100_000, "{"])
def test_a_state_that_tells_of_no_run(tmp_path, about):
    run(tmp_path, stop_after=5)
    tampered(tmp_path, lambda metadata: metadata.update(about=about))
    assert "state.safetensors " in refused(minivit.CheckpointError, tmp_path)


def test_a_state_with_numbers_that_are_not_finite(tmp_path):
    run(tmp_path, stop_after=5)
    path = tmp_path / "state.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = load_file(path)
    for name in ("weights/head.bias", "second/head.bias"):
        save_file({**arrays, name: np.full_like(arrays[name], np.nan)}, path, metadata)
        assert f"{name} holds values that are NaN" in refused(minivit.CheckpointError, tmp_path)


def test_a_state_with_an_array_of_a_shape_that_would_spread(tmp_path):
    """One number would fill a whole bias without an error."""
    run(tmp_path, stop_after=5)
    path = tmp_path / "state.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = load_file(path)
    wanted = arrays["weights/head.bias"].shape
    save_file({**arrays, "weights/head.bias": arrays["weights/head.bias"][:1]}, path, metadata)
    assert f"weights/head.bias has shape (1,), expected {wanted}" in refused(minivit.CheckpointError, tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files")
@pytest.mark.parametrize("name", ["state.safetensors", "images.sha256", "log.csv"])
def test_a_pipe_among_the_files(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert f"{name} is no plain file" in refused(minivit.CheckpointError, tmp_path)


@pytest.mark.parametrize("accuracies, epoch", [([0.5, 0.7, 0.6], 2), ([0.5, 0.5], 1), ([0.2, 0.3], 2)])
def test_the_best_model_is_that_of_the_epoch_with_the_best_held_out_answers(tmp_path, monkeypatch, accuracies, epoch):
    measured = iter(accuracies)
    monkeypatch.setattr(loop, "evaluate", lambda model, data: {"loss": 1.0, "accuracy": next(measured)})
    models, real = [], loop.save

    def save(model, path):
        if path.name == "model.safetensors":
            models.append(model(colours(2).images.astype(np.float32)))
        real(model, path)

    monkeypatch.setattr(loop, "save", save)
    loop.train(colours(40), TINY, replace(SHORT, epochs=len(accuracies), held_out=8), tmp_path, progress=False)
    best = minivit.load(tmp_path / "best.safetensors")
    assert np.array_equal(best(colours(2).images.astype(np.float32)), models[epoch - 1])


def test_no_best_model_without_held_out_images(tmp_path):
    loop.train(colours(40), TINY, replace(SHORT, epochs=1, held_out=0), tmp_path, progress=False)
    assert (tmp_path / "model.safetensors").exists() and not (tmp_path / "best.safetensors").exists()
