"""The command line: what goes to stdout, what to stderr, exit statuses, and one line for each mistake."""

import argparse
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from platforms import needs_links, needs_sigint
from safetensors.numpy import load_file, save_file
from toy_data import TINY, colours, write_folder

import minivit
from minivit import samples
from minivit.commands import cli, letters

CHILD = {**os.environ, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def minivit_says(capsys):
    """Runs the command line in this process: (exit status, stdout, stderr)."""
    def says(*arguments):
        try:
            status = cli.main([str(a) for a in arguments])
        except SystemExit as stop:
            status = stop.code
        told = capsys.readouterr()
        return status, told.out, told.err
    return says


@pytest.fixture
def toy(tmp_path):
    """A model of two classes, and a folder of labelled images."""
    model = minivit.init(TINY, seed=0, labels=["blue", "red"])
    minivit.save(model, tmp_path / "toy.safetensors")
    write_folder(colours(12), tmp_path / "data" / "test")
    return model, tmp_path / "toy.safetensors", tmp_path / "data"


# predict

def test_predict(minivit_says, toy, tmp_path):
    model, file, data = toy
    images = sorted(data.rglob("*.png"))[:2]
    status, out, err = minivit_says("predict", *images, "--model", file)
    assert (status, err) == (0, "")
    expected = []
    for image in images:
        expected += [str(image), *(f"  {p:6.1%}  {label}" for label, p in minivit.forward(image, model).top()), ""]
    assert out.splitlines() == expected[:-1]


def test_predict_the_sample(minivit_says):
    status, out, _ = minivit_says("predict", "--sample", "--top", 3)
    assert status == 0 and len(out.splitlines()) == 4
    assert [line.split()[1] for line in out.splitlines()[1:]] == [n for n, _ in minivit.forward(samples.CAT).top(3)]


def test_an_unreadable_image_is_told_and_the_others_predicted(minivit_says, tmp_path):
    (tmp_path / "notes.png").write_text("not an image", "utf-8")
    status, out, err = minivit_says("predict", tmp_path / "notes.png", samples.CAT, tmp_path / "none.png")
    assert status == 2 and len(out.splitlines()) == 6
    assert [line.split(": ")[0] for line in err.splitlines()] == ["minivit", "minivit"]
    assert "notes.png is not an image" in err and "none.png" in err


# trace

def test_trace_prints_every_step(minivit_says, tmp_path):
    status, out, err = minivit_says("trace", samples.CAT, "-o", tmp_path / "steps.npz")
    steps = minivit.forward(samples.CAT).trace
    lines = out.splitlines()
    assert status == 0 and "cifar10" in lines[1] and "random" not in out
    assert [line.split()[0] for line in lines[4:]] == list(steps)
    for line, array in zip(lines[4:], steps.values()):
        assert " x ".join(map(str, array.shape)) in line
        mean, std = map(float, line.split()[-2:])
        assert mean == pytest.approx(array.mean(), abs=6e-5) and std == pytest.approx(array.std(), abs=6e-5)
    assert f"wrote {len(steps)} arrays" in err
    with np.load(tmp_path / "steps.npz") as written:
        assert written.files == list(steps)
        for name, array in steps.items():
            np.testing.assert_array_equal(written[name], array)
    assert [p.name for p in tmp_path.iterdir()] == ["steps.npz"]


def test_trace_of_a_variant_says_that_its_weights_are_random(minivit_says, monkeypatch):
    monkeypatch.setitem(minivit.VARIANTS, "B/16", minivit.variants.as_config("B/16", num_layers=1, mlp_width=64))
    status, out, _ = minivit_says("trace", "--variant", "B/16")
    assert status == 0 and "weights are random" in out
    shapes = {line.split()[0]: line for line in out.splitlines()[5:]}
    assert " 1 x 197 x 768 " in shapes["tokens"] and " 1 x 12 x 197 x 197 " in shapes["layer.0.attention"]
    assert " 1 x 1000 " in shapes["logits"]
    _, again, _ = minivit_says("trace", "--variant", "B/16")
    _, other, _ = minivit_says("trace", "--variant", "B/16", "--seed", 1)
    assert again == out != other
    _, smaller, _ = minivit_says("trace", "--variant", "B/16", "--image-size", "32x48", "--num-classes", 7)
    assert " 1 x 7 x 768 " in smaller and " 1 x 7 " in smaller.splitlines()[-1]


def test_every_step_of_a_trace_is_explained():
    from minivit.commands.trace import STEPS, describe
    for config in (TINY, minivit.variants.as_config(TINY, pool="mean", class_token=False)):
        steps = minivit.forward(colours(1).images[0], minivit.init(config)).trace
        assert {name.split(".")[-1] for name in steps} == set(STEPS)
        assert all(describe(name) for name in steps)


# variants

def test_variants_prints_the_table(minivit_says):
    status, out, _ = minivit_says("variants")
    lines = out.splitlines()[1:1 + len(minivit.VARIANTS)]
    rows = [line.split() for line in lines]
    assert status == 0 and all(line.startswith(name + "  ") for line, name in zip(lines, minivit.VARIANTS))
    assert len({len(line) for line in lines}) == 1
    # The figures of the papers' models as counted by other implementations, not by this one.
    b16 = "B/16 16 768 12 3072 12 224 197 1000 86,567,656 17.564 346.3 MB 173.1 MB"
    g14 = "G/14 14 1664 48 8192 16 224 257 1000 1,844,440,680 483.748 7.378 GB 3.689 GB"
    assert [" ".join(rows[i]) for i in (4, 10)] == [b16, g14]
    counted_by_timm = {"DeiT-B/16 distilled": "198 1000 87,338,192", "DINOv2-S/14": "1370 0 22,056,192",
                       "DINOv2-S/14 registers": "1374 0 22,057,344", "SigLIP-B/16": "196 0 92,884,224"}
    told = {name: " ".join(row) for name, row in zip(minivit.VARIANTS, rows)}
    for name, figures in counted_by_timm.items():
        assert f" {figures} " in told[name]
    assert "multiply-add" in out and "1e9 bytes" in out


def test_variants_at_another_size(minivit_says):
    _, out, _ = minivit_says("variants", "--image-size", 384)
    assert "86,859,496" in out and "55.48" in out and "Left out" in out and "H/14" in out.splitlines()[-1]
    _, out, _ = minivit_says("variants", "--num-classes", 10)
    assert "CLIP-B/16" in out and "10 classes" in out and "R x R" in out
    assert {line.split()[-7] for line in out.splitlines()[1:12]} == {"10"}


# evaluate

def test_evaluate(minivit_says, toy, tmp_path):
    model, file, data = toy
    status, out, err = minivit_says("evaluate", data, "--split", "test", "--model", file, "--json", tmp_path / "r.json")
    figures = json.loads((tmp_path / "r.json").read_text("utf-8"))
    images = sorted((data / "test").rglob("*.png"))
    truth = [image.parent.name for image in images]
    found = [minivit.forward(image, model).top(1)[0][0] for image in images]
    assert status == 0 and "reading" in err and "accuracy" in out
    assert figures["accuracy"] == pytest.approx(np.mean([t == f for t, f in zip(truth, found)]))
    for i, true in enumerate(["blue", "red"]):
        for j, named in enumerate(["blue", "red"]):
            assert figures["confusion"][i][j] == list(zip(truth, found)).count((true, named))
        assert figures["accuracy_per_class"][true] == pytest.approx(figures["confusion"][i][i] / truth.count(true))
    assert f"{figures['accuracy']:.2%}" in out and str(figures["confusion"][0][0]) in out


def test_evaluate_numbers_classes_as_the_model_does(minivit_says, toy, tmp_path):
    """The folder has its classes in the alphabet's order, the model may have them in another."""
    _, file, data = toy
    swapped = minivit.init(TINY, seed=0, labels=["red", "blue"])
    minivit.save(swapped, tmp_path / "swapped.safetensors")
    next((data / "test" / "red").iterdir()).unlink()           # an odd count, so that the accuracy can't be one half
    accuracy = []
    for path in (file, tmp_path / "swapped.safetensors"):
        minivit_says("evaluate", data / "test", "--model", path, "--json", tmp_path / "r.json")
        accuracy.append(json.loads((tmp_path / "r.json").read_text("utf-8"))["accuracy"])
    assert sum(accuracy) == pytest.approx(1) and accuracy[0] != pytest.approx(0.5)


@pytest.mark.parametrize("labels, status", [(["red", "blue", "red"], 2), (["blue", "red", "ox", "ox"], 0)])
def test_evaluate_with_classes_of_one_name(minivit_says, toy, tmp_path, labels, status):
    """ImageNet has two classes "crane": an image of such a folder may be right as either."""
    minivit.save(minivit.init(TINY, num_classes=len(labels), labels=labels), tmp_path / "twice.safetensors")
    found, out, err = minivit_says("evaluate", toy[2] / "test", "--model", tmp_path / "twice.safetensors")
    assert found == status and ("ox" in out) == (not status)
    said = err.splitlines()[-1]
    assert ("the model has 2 classes named 'red', and the data has one: give the model's" in said) == bool(status)


# train

TRAIN = ["--image-size", 8, "--width", 16, "--layers", 1, "--heads", 2, "--mlp-width", 32, "--batch-size", 4,
         "--held-out", 2, "--epochs", 2]


def test_train(minivit_says, toy, tmp_path):
    _, _, data = toy
    status, out, err = minivit_says("train", data, "--split", "test", "--out", tmp_path / "run", *TRAIN)
    assert status == 0 and out.strip() == str(tmp_path / "run" / "model.safetensors")
    assert "epoch 2/2" in err and "images/s" in err
    with open(tmp_path / "run" / "log.csv", encoding="utf-8", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    model = minivit.load(tmp_path / "run" / "model.safetensors")
    assert model.labels == ["blue", "red"] and model.config == TINY
    status, out, _ = minivit_says("predict", samples.CAT, "--model", tmp_path / "run" / "model.safetensors")
    assert status == 0 and "blue" in out


@pytest.mark.parametrize("out", ["run", "test/run", "test/red/deep/run", "test",
                                 pytest.param("LINK/run", marks=needs_links)])
@pytest.mark.parametrize("split", ["", "test"])
def test_a_run_is_not_among_its_own_images(minivit_says, toy, tmp_path, monkeypatch, out, split):
    """curve.png would be one more of them, and the run could not go on. Beside the split it is out of the way."""
    data = toy[2]
    monkeypatch.setattr("minivit.training.data.read_labelled_images", lambda *_: 1 / 0)        # the work begins
    if split and out == "run":
        with pytest.raises(ZeroDivisionError):
            minivit_says("train", data, "--split", split, "--out", data / out, *TRAIN)
        return
    place = data / out
    if out.startswith("LINK"):
        place = tmp_path / out
        (tmp_path / "LINK").symlink_to(data / "test")
    status, told, err = minivit_says("train", data, "--split", split, "--out", place, *TRAIN)
    assert (status, told) == (2, "") and len(err.splitlines()) == 1 and not (data / "run").exists()
    assert f"--out {place} lies in {data / split}, whose folders are the classes: give a folder elsewhere" in err


def test_train_options_reach_the_recipe(minivit_says, toy, tmp_path, monkeypatch):
    from minivit.training import loop
    seen = {}
    monkeypatch.setattr(loop, "train", lambda data, config, recipe, folder, **rest: seen.update(recipe=recipe, **rest))
    minivit_says("train", toy[2] / "test", "--out", tmp_path, *TRAIN, "--peak-rate", 0.5, "--mixup", 0.25, "--seed", 9,
                 "--average", 0.5, "--save-seconds", 7, "--optimiser", "muon", "--patch-dropout", 0.25,
                 "--stochastic-depth", 0.125, "--rand-augment", 3, "--magnitude", 0.75, "--layers", 2)
    r = seen["recipe"]
    assert (r.optimiser, r.patch_dropout, r.stochastic_depth) == ("muon", 0.25, 0.125)
    assert (r.rand_augment, r.magnitude) == (3, 0.75)
    assert (r.peak_rate, r.mixup, r.seed, r.average, r.epochs, r.batch_size) == (0.5, 0.25, 9, 0.5, 2, 4)
    assert seen["save_seconds"] == 7 and seen["preprocessing"].crop_fraction == 1


@needs_sigint
def test_ctrl_c_stops_a_training_run_and_it_goes_on(toy, tmp_path):
    write_folder(colours(80), tmp_path / "more")
    command = [sys.executable, "-m", "minivit", "train", tmp_path / "more", "--out", tmp_path / "run", *TRAIN[:-2],
               "--save-seconds", 0, "--epochs"]
    # A shell that runs the tests in the background has them, and so the child, ignore Ctrl-C.
    process = subprocess.Popen([*map(str, command), "100000"], env=CHILD, stdout=subprocess.PIPE, encoding="utf-8",
                               stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not (tmp_path / "run" / "log.csv").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert "the same command goes on from the last save" in err
    assert load_file(tmp_path / "run" / "state.safetensors")


def test_few_images_hold_out_a_tenth(minivit_says, toy, tmp_path, monkeypatch):
    from minivit.training import loop
    seen = []
    monkeypatch.setattr(loop, "train", lambda data, config, recipe, folder, **rest: seen.append(recipe.held_out))
    plain = TRAIN[:TRAIN.index("--held-out")]
    minivit_says("train", toy[2] / "test", "--out", tmp_path / "run", *plain)
    minivit_says("train", toy[2] / "test", "--out", tmp_path / "run", *plain, "--held-out", 5)
    monkeypatch.setattr("minivit.training.data.read_labelled_images", lambda *_: range(30_000))
    minivit_says("train", toy[2] / "test", "--out", tmp_path / "run", *plain)
    assert seen == [1, 5, 1000]


def test_evaluate_takes_the_test_part(minivit_says, toy):
    _, file, data = toy
    write_folder(colours(20, seed=1), data / "train")
    found = [minivit_says("evaluate", data, "--model", file, "--json", *split)[1]
             for split in ((), ("--split", "test"), ("--split", "train"))]
    assert found[0] == found[1] != found[2] and json.loads(found[0])["split"] == "test"
    assert json.loads(minivit_says("evaluate", data / "test", "--model", file, "--json", "-")[1])["split"] == ""


def test_the_test_part_of_an_archive_and_of_other_folders(tmp_path):
    from minivit.training.data import test_part
    write_folder(colours(4), tmp_path / "data" / "testing")
    write_folder(colours(4), tmp_path / "data" / "train")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in (tmp_path / "data").rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path / "data"))
        archive.writestr("__MACOSX/a.png", b"")
    assert test_part(tmp_path / "data") == test_part(tmp_path / "data.zip") == "testing"
    for packing in ("", "gz", "xz"):
        with tarfile.open(tmp_path / "data.tar", f"w:{packing}") as archive:
            archive.add(tmp_path / "data", "./")
        assert test_part(tmp_path / "data.tar") == "testing"
    (tmp_path / "data" / "bicycle").mkdir()                     # then "testing" may well be a class
    assert test_part(tmp_path / "data") == test_part(tmp_path / "none") == ""


def test_evaluate_of_an_archive(minivit_says, toy, tmp_path):
    _, file, data = toy
    write_folder(colours(20, seed=1), data / "train")
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as archive:
        archive.add(data, "")
    found = [json.loads(minivit_says("evaluate", source, "--model", file, "--json")[1])
             for source in (data, tmp_path / "data.tar.gz")]
    assert found[0].pop("data") != found[1].pop("data") and found[0] == found[1] and found[0]["split"] == "test"


def test_the_split_that_is_proposed_is_for_what_is_done(minivit_says, toy, tmp_path):
    _, file, data = toy
    write_folder(colours(20, seed=1), data / "train")
    write_folder(colours(20, seed=1), data / "val")
    said = "are splits, not classes: test, train, val; name one, such as --split "
    for command, proposed in ((("evaluate", data, "--model", file, "--split", ""), "test"),
                              (("train", data, "--out", tmp_path / "run", *TRAIN), "train")):
        status, _, err = minivit_says(*command)
        assert status == 2 and err.endswith(f"{said}{proposed}\n")


# Inputs and outputs.

def test_a_folder_of_images_and_a_folder_of_a_run(minivit_says, toy, tmp_path):
    _, file, data = toy
    (tmp_path / "run").mkdir()
    file.rename(tmp_path / "run" / "model.safetensors")
    images = sorted((data / "test" / "red").iterdir())
    status, out, err = minivit_says("predict", data / "test" / "red", "--model", tmp_path / "run", "--top", 1)
    assert (status, err) == (0, "") and [line for line in out.splitlines()[::3]] == [str(image) for image in images]
    assert minivit_says("predict", data / "test" / "red", "--json", "--model", tmp_path / "run")[0] == 0


@pytest.mark.parametrize("command", [
    ["predict", "-", "--top", "1"], ["trace", "-"], ["explain", "-", "-o", "out.png"],
    ["compare", "cifar10", "cifar10", "--image", "-"]])
def test_an_image_from_standard_input(minivit_says, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(samples.CAT.read_bytes())))
    status, out, err = minivit_says(*command)
    assert (status, err) == (0, "") and out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    status, out, err = minivit_says(*command)
    assert (status, out, err) == (2, "", "minivit: standard input is empty: give an image file's bytes\n")


def test_predict_as_json(minivit_says, tmp_path):
    (tmp_path / "notes.png").write_text("not an image")
    status, out, _ = minivit_says("predict", "--json", samples.CAT, tmp_path / "notes.png", "--top", 2)
    told = json.loads(out)
    assert status == 2 and told["model"] == "cifar10" and "notes.png" in told["images"][1]["error"]
    assert [(top["label"], top["probability"]) for top in told["images"][0]["top"]] == \
        [(label, pytest.approx(p)) for label, p in minivit.forward(samples.CAT).top(2)]
    status, out, _ = minivit_says("predict", samples.CAT, "--json", tmp_path / "cat.json", "--top", 2)
    assert status == 0 and "cat" in out and json.loads((tmp_path / "cat.json").read_text())["images"][0]["top"]


def test_tables_as_json(minivit_says):
    steps = minivit.forward(samples.CAT).trace
    told = json.loads(minivit_says("trace", samples.CAT, "--json")[1])["steps"]
    assert [(step["step"], tuple(step["shape"])) for step in told] == [(n, a.shape) for n, a in steps.items()]
    rows = json.loads(minivit_says("variants", "--json")[1])["variants"]
    assert [(row["variant"], row["parameters"]) for row in rows[4:5]] == [("B/16", 86_567_656)]
    assert json.loads(minivit_says("compare", "cifar10", "cifar10", "--json")[1])["agrees"] is True


def test_explain_as_json(minivit_says, toy, tmp_path):
    p = minivit.forward(samples.CAT)
    status, out, err = minivit_says("explain", "--json", samples.CAT, "-o", tmp_path / "a.png")
    told = json.loads(out)
    assert (status, err, told["model"]) == (0, "", "cifar10") and (tmp_path / "a.png").stat().st_size > 10_000
    assert told["figure"] == str(tmp_path / "a.png")
    assert [image["image"] for image in told["images"]] == [str(samples.CAT)]
    assert [(top["label"], top["probability"]) for top in told["images"][0]["top"]] == \
        [(label, pytest.approx(probability)) for label, probability in p.top(5)]
    seen = p.attention[-1][:, 0, 1:].mean(axis=0).reshape(8, 8)                 # from [CLS] to each of 8 x 8 patches
    np.testing.assert_allclose(told["images"][0]["attention"], seen, rtol=1e-5)
    _, file, data = toy
    two = sorted((data / "test" / "red").iterdir())[:2]
    status, out, _ = minivit_says("explain", *two, "-o", tmp_path / "b.png", "--model", file,
                                  "--json", tmp_path / "b.json")
    told = json.loads((tmp_path / "b.json").read_text("utf-8"))
    assert status == 0 and out == f"{tmp_path / 'b.png'}\n"
    assert [image["image"] for image in told["images"]] == list(map(str, two))
    headless = replace(TINY, num_classes=0)
    minivit.save(minivit.init(headless, seed=0), tmp_path / "headless.safetensors")
    told = json.loads(minivit_says("explain", "--sample", "-o", tmp_path / "c.png", "--json",
                                   "--model", tmp_path / "headless.safetensors")[1])
    assert told["images"][0]["top"] == [] and len(told["images"][0]["attention"]) == headless.grid[0]


@pytest.mark.parametrize("command", [
    ["predict", "photo.jpg", "--json", "none/a.json"], ["trace", "photo.jpg", "-o", "none/a.npz"],
    ["explain", "photo.jpg", "-o", "none/a.png"], ["explain", "photo.jpg", "-o", "a.png", "--json", "none/a.json"],
    ["explain", "photo.jpg", "-o", "a.png", "--json", "photo.json"], ["explore", "-o", "photo.jpg"],
    ["info", "--json", "none/a.json"],
    ["compare", "cifar10", "cifar10", "--json", "none/a.json"],
    ["evaluate", "data", "--json", "none/a.json"], ["train", "data", "--out", "photo.jpg"],
    ["train", "data", "--out", "photo.jpg/run"], ["train", "data", "--out", "data"],
    ["train", "data", "--out", "first", "--start", "first"],
    ["train", "data", "--out", "first", "--start", "first/model.safetensors"],
    ["trace", "photo.jpg", "-o", "link.npz"], ["explain", "photo.jpg", "-o", "photo.jpg"],
    ["explain", "photo.jpg", "-o", "link.jpg"], ["predict", "photo.jpg", "--json", "folder.json"],
    ["compare", "cifar10", "steps.npz", "--json", "steps.json"], ["predict", "photo.jpg", "--json", "photo.json"],
    ["predict", "photo.jpg", "--model", "weights", "--json", "weights/config.json"]])
def test_outputs_are_checked_before_the_work_and_no_input_is_replaced(minivit_says, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("minivit.checkpoints.loading.load", lambda *_, **__: pytest.fail("work began"))
    for name in ("photo.jpg", "steps.npz"):
        (tmp_path / name).write_bytes(samples.CAT.read_bytes())
    for link, target in (("link.npz", "photo.jpg"), ("link.jpg", "photo.jpg"), ("steps.json", "steps.npz")):
        (tmp_path / link).symlink_to(target)
    os.link("photo.jpg", "photo.json")
    for folder in ("data", "first", "folder.json", "weights"):
        (tmp_path / folder).mkdir()
    (tmp_path / "weights" / "config.json").write_text("{}")
    (tmp_path / "first" / "model.safetensors").write_bytes(b"")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    status, out, err = minivit_says(*command)
    assert (status, out) == (2, "") and len(err.splitlines()) == 1, err
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_an_output_that_is_a_link_is_followed(minivit_says, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "steps.npz").symlink_to(tmp_path / "elsewhere" / "real.npz")
    assert minivit_says("trace", "-o", tmp_path / "steps.npz")[0] == 0
    assert (tmp_path / "steps.npz").is_symlink() and (tmp_path / "elsewhere" / "real.npz").stat().st_size > 1000


@pytest.mark.parametrize("arguments, said", [
    (["predcit"], "did you mean predict?"), (["predict", "--tpo", "3"], "did you mean --top?"),
    (["train", "data", "--out", "run", "--batchsize", "3"], "did you mean --batch-size?"),
    (["train", "data", "--out", "run", "--optimiser", "moun"], "did you mean muon?"),
    (["trace", "--variant", "B16"], "did you mean B/16?"), (["predict", "phto.jpg"], "did you mean photo.jpg?"),
    (["train", "data", "--out", "run", "--batch-size", "0"], "minivit: --batch-size is a whole number from 1 to"),
    (["train", "data", "--out", "run", "--stochastic-depth", "0.1", "--layers", "1"], "--stochastic-depth skips"),
    (["train", "data", "--out", "run", "--padding", "32"], "minivit: --padding 32 could shift"),
    (["train", "data", "--out", "run", "--image-size", "30"], "--image-size 30 x 30 cannot be cut"),
    (["predict", "--sample", "--json", "a.txt"], "unrecognized arguments: a.txt|no such file: a.txt")])
def test_options_as_typed_and_near_misses(minivit_says, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"")
    (tmp_path / "data").mkdir()
    status, _, err = minivit_says(*arguments)
    assert status == 2 and len(err.splitlines()) == 1 and re.search(said.replace("?", r"\?"), err), err


def test_names_in_messages_that_are_no_options():
    options = argparse.Namespace(batch_size=1, epochs=2, heads=3)
    same = ["no such file: batch_size.png", "'batch_size' is a class", "5 epochs is too much", "a/num_heads",
            "a: config.json: batch_size is True, expected a number from 1 to 2", "a says batch_size 7"]
    assert [cli.as_typed(message, options) for message in same] == same
    assert cli.as_typed("give num_heads=…, or less batch_size", options) == "give --heads …, or less --batch-size"


# Mistakes: one line on stderr, exit status 2, and no traceback.

@pytest.mark.parametrize("arguments, said", [
    ([], "required: COMMAND"), (["fly"], "invalid choice: 'fly'"), (["predict"], "no image given"),
    (["predict", "none.jpg"], "no such file: none.jpg"), (["predict", "."], "the folder . holds no image file"),
    (["predict", "--sample", "--top", "0"], "from 1 on"), (["predict", "--sample", "--top", "many"], "from 1 on"),
    (["predict", "--sample", "--model", "vgg"], "vgg"), (["predict", "--sample", "--device", "tpu"], "'tpu'"),
    (["trace", "--variant", "Z/16"], "unknown variant 'Z/16': choose one of Ti/16"),
    (["trace", "--variant", "B/16", "--model", "cifar10"], "one of the two"),
    (["trace", "--variant", "B/16", "--image-size", "100"], "patches of 16 x 16"),
    (["trace", "--variant", "B/16", "--image-size", "big"], "HEIGHTxWIDTH"),
    (["trace", "--num-classes", "-1"], "from 0 on"), (["trace", "--seed", "7"], "goes with --variant"),
    (["trace", "-o", "steps.txt"], "writes an .npz file"),
    (["trace", "-o", "none/steps.npz"], "there is no folder none"),
    (["variants", "--image-size", "0"], "HEIGHTxWIDTH"), (["variants", "extra"], "unrecognized arguments: extra"),
    (["evaluate"], "required: DATA"), (["evaluate", "none"], "no such file or folder: none"),
    (["train", "none", "--out", "run"], "no such file or folder: none"), (["train", "none"], "required: --out"),
    (["train", "none", "--out", "run", "--epochs", "0"], "minivit: --epochs is a whole number from 1 to 1,000,000"),
    (["train", "none", "--out", "run", "--patch-size", "5"], "patches of 5 x 5"),
    (["train", "none", "--out", "run", "--heads", "3"], "--heads must divide the width"),
    (["train", "none", "--out", "run", "--peak-rate", "fast"], "invalid float value: 'fast'"),
    (["train", "none", "--out", "run", "--optimiser", "sgd"], "invalid choice: 'sgd'"),
    (["train", "none", "--out", "run", "--rand-augment", "-1"], "minivit: --rand-augment is a whole number from 0 to"),
    (["train", "none", "--out", "run", "--magnitude", "0.2"], "--magnitude 0.2 changes nothing without --rand-augment"),
])
def test_mistakes(minivit_says, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    status, out, err = minivit_says(*arguments)
    assert (status, out) == (2, "") and len(err.splitlines()) == 1
    assert err.startswith("minivit") and said in err
    assert not list(tmp_path.iterdir())


def test_evaluate_with_classes_that_the_model_lacks(minivit_says, toy):
    status, _, err = minivit_says("evaluate", toy[2] / "test")
    assert status == 2 and "the model knows no class 'blue'" in err.splitlines()[-1]


def test_a_checkpoint_cut_short(minivit_says, toy):
    _, file, _ = toy
    file.write_bytes(file.read_bytes()[:-100])
    status, out, err = minivit_says("predict", "--sample", "--model", file)
    assert (status, out) == (2, "") and len(err.splitlines()) == 1 and "toy.safetensors" in err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_image_without_permission(minivit_says, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(samples.CAT.read_bytes())
    (tmp_path / "photo.jpg").chmod(0)
    status, _, err = minivit_says("predict", tmp_path / "photo.jpg")
    assert status == 2 and "ermission denied" in err


def test_ctrl_c_and_faults_of_our_own(minivit_says, monkeypatch):
    from minivit.commands import variants

    def raising(error):
        def run(options):
            raise error
        return run

    monkeypatch.setattr(variants, "run", raising(KeyboardInterrupt()))
    assert minivit_says("variants") == (130, "", "minivit: stopped\n")
    monkeypatch.setattr(variants, "run", raising(MemoryError()))
    assert minivit_says("variants")[::2] == (2, "minivit: out of memory: give smaller images, or a smaller model\n")
    monkeypatch.setattr(variants, "run", raising(TypeError("ours")))
    with pytest.raises(TypeError):                              # a fault of minivit's is not passed off as the user's
        minivit_says("variants")


# Help, and the process as a whole.

@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_help_has_an_example(minivit_says, command):
    status, out, err = minivit_says(*command, "--help")
    assert (status, err) == (0, "")
    assert "example:\n  minivit " in out and f"minivit {' '.join(command)}" in out.split("example:")[1]


def test_version(minivit_says):
    assert minivit_says("--version") == (0, f"minivit {minivit.__version__}\n", "")


@pytest.mark.parametrize("command", [["variants"], ["variants", "--help"], ["trace"]])
def test_head_closes_the_pipe_without_complaint(command):
    process = subprocess.Popen([sys.executable, "-m", "minivit", *command], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b"" and process.wait() == 0


@pytest.mark.skipif(os.name != "posix", reason="no such shell")
def test_standard_output_may_be_closed(tmp_path):
    for command in ("variants", "predict --sample", f"predict --sample --json {tmp_path / 'a.json'}"):
        shell = f'exec "$0" -m minivit {command} >&-'
        done = subprocess.run(["sh", "-c", shell, sys.executable], stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (0, b""), command
    assert json.loads((tmp_path / "a.json").read_text())["images"]


COMMANDS = [["trace"], ["trace", "--help"], ["variants"], ["evaluate", "--help"], ["train", "--help"]]


@pytest.mark.parametrize("encoding, said", [
    ("ascii", ["q k^T / sqrt(d) (eq. 6)", "x_pE + bias", "each a row of P^2C numbers", "[A_1v_1 ... A_H v_H] U"]),
    ("cp1252", ["q k^T / sqrt(d) (eq. 6)", "x_pE + bias", "each a row of P²C numbers", "[A_1v_1 … A_H v_H] U"]),
    ("utf-8", ["q kᵀ / √d (eq. 6)", "xₚE + bias", "each a row of P²C numbers", "[A₁v₁ … A_H v_H] U"]),
])
def test_a_terminal_without_the_letters_gets_others(encoding, said):
    outputs = []
    for command in COMMANDS:
        done = subprocess.run([sys.executable, "-m", "minivit", *command], capture_output=True,
                              env={**os.environ, "PYTHONIOENCODING": encoding})
        assert done.returncode == 0 and done.stderr == b""
        outputs.append(done.stdout.decode(encoding))
        assert "?" not in outputs[-1]
    lines = outputs[0].splitlines()
    assert all(any(phrase in line for line in lines) for phrase in said)
    assert len({len(line) for line in lines[3:]}) == 1                  # columns stay where they are


@pytest.mark.parametrize("text, ascii", [
    ("softmax(q kᵀ / √d) v", b"softmax(q k^T / sqrt(d)) v"), ("√(a + b)", b"sqrt(a + b)"), ("√2 σ", b"sqrt(2) sigma"),
    ("‖a − b‖ ≤ 10⁻¹²", b"||a - b|| <= 10^-12"), ("∂L/∂W₁ · x̂", b"dL/dW_1 * x^"), ("Ångström é", b"Angstrom e"),
    ("“quoted” – 4 × 4 …", b'"quoted" - 4 x 4 ...'), ("猫.jpg", rb"\u732b.jpg"), ("Σ √", b"Sigma sqrt"),
])
def test_letters_that_a_terminal_lacks(text, ascii):
    assert text.encode("ascii", letters.ERRORS) == ascii
    assert text.encode("utf-8", letters.ERRORS) == text.encode()


def test_commands_load_nothing_they_do_not_need():
    """Help without NumPy; an answer without matplotlib, and without the training code."""
    script = ("import sys; from minivit.commands import cli\ntry: cli.main(sys.argv[1:])\nexcept SystemExit: pass\n"
              "print([name for name in ('numpy', 'matplotlib', 'scipy', 'torch', 'minivit.training.loop') "
              "if name in sys.modules])")
    for arguments, expected in ((["--help"], "[]"), (["variants"], "[]"), (["predict", "--sample"], "['numpy']")):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, encoding="utf-8")
        assert done.stdout.splitlines()[-1] == expected, done.stderr


# Odd names, odd files, numbers without measure: one line, none of it obeyed by a terminal.

LONG = "x" * 5000
CODES = "a\nb\x1b[31mred\x07\u202e"


@pytest.mark.parametrize("arguments, said", [
    (["predict", CODES], r"no such file: a\nb\x1b[31mred\x07\u202e"), (["predict", LONG], "File name too long"),
    (["predict", "--sample", "--model", CODES], r"no file a\nb\x1b[31mred"),
    (["predict", "--sample", "--model", LONG], "is no file's name: File name too long"),
    (["predict", "--sample", "--model", "a\0b"], r"no file a\x00b"),
    (["predict", "--sample", "--model", ""], "model is empty"), (["predict", ""], "images is empty"),
    (["trace", ""], "image is empty"), (["trace", "-o", ""], "output is empty"),
    (["train", "", "--out", "run"], "data is empty"), (["train", "none", "--out", ""], "invalid name of a folder"),
    (["train", "none", "--out", "run", "--start", ""], "start is empty"),
    (["compare", "", "cifar10"], "model is empty"),
    (["trace", "-o", LONG + ".npz"], "ile name too long"), (["explain", "--sample", "-o", LONG + ".png"], "too long"),
    ([LONG], "invalid choice"), (["evaluate", ".", "--split", CODES], r"a\nb\x1b[31mred"),
    (["trace", "--variant", "Ti/16", "--image-size", "14400"], "up to 4,096"),
    (["trace", "--variant", "Ti/16", "--image-size", "4096"], "would take 1,2"),
    (["trace", "--variant", "B/16", "--num-classes", "9" * 20], "--num-classes is a whole number from 0 to 10"),
    (["train", ".", "--out", "run", "--save-seconds", "nan"], "number of seconds"),
    (["train", ".", "--out", "run", "--save-seconds", "-1"], "number of seconds"),
    (["train", ".", "--out", "run", "--seed", LONG.replace("x", "9")], "invalid int value"),
    (["train", ".", "--out", "run", "--peak-rate", "nan"], "--peak-rate is a number from 0 to 1e+30, found"),
    (["train", ".", "--out", "run", "--mixup", "1e300"], "--mixup is a number from 0 to 1e+06, found"),
    (["train", "data", "--out", "run", "--width", "9" * 30], "--width is a whole number from 1 to 65"),
    (["variants", "--num-classes", "9" * 30], "--num-classes is a whole number from 1 to 10,000,000"),
])
def test_odd_arguments(minivit_says, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    status, out, err = minivit_says(*arguments)
    assert (status, out) == (2, "") and err.startswith("minivit") and said in err
    assert err.endswith("\n") and err[:-1].isprintable() and len(err) < 800
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files")
@pytest.mark.parametrize("arguments", [["predict", "PIPE"], ["predict", "--sample", "--model", "PIPE"],
                                       ["trace", "PIPE"], ["evaluate", "PIPE"], ["train", "PIPE", "--out", "run"],
                                       ["compare", "cifar10", "PIPE"], ["compare", "PIPE", "cifar10"],
                                       ["compare", "cifar10", "cifar10", "--image", "PIPE"]])
def test_pipes_do_not_hang(tmp_path, arguments):
    os.mkfifo(tmp_path / "pipe")
    for place in ("pipe", "/dev/zero"):
        done = subprocess.run([sys.executable, "-m", "minivit", *(place if a == "PIPE" else a for a in arguments)],
                              capture_output=True, text=True, timeout=120, cwd=tmp_path, env={
                                  **CHILD, "PYTHONPATH": os.path.dirname(os.path.dirname(minivit.__file__))})
        assert done.returncode == 2 and done.stdout == "", done.stderr
        assert f"{place} is no plain file but a pipe, socket or device" in done.stderr.splitlines()[-1]


def test_names_inside_files_are_not_obeyed(minivit_says, tmp_path):
    """Labels and a model's name, as predict, trace and evaluate print them."""
    labels = [CODES, "ordinary"]
    model = minivit.init(TINY, seed=0, labels=labels)
    model.name = CODES
    minivit.save(model, tmp_path / "codes.safetensors")
    write_folder(replace(colours(12), classes=["ordinary", "a\nb\x1b[31mred\x07\u202e"]), tmp_path / "data")
    for arguments in (["predict", "--sample"], ["trace"], ["evaluate", tmp_path / "data"]):
        status, out, err = minivit_says(*arguments, "--model", tmp_path / "codes.safetensors")
        assert status == 0 and r"\x1b[31m" in out
        assert all(line.isprintable() for line in out.split("\n"))
        assert "\x1b[31mred" not in err and "\x07" not in err
    for shown in (repr(minivit.load(tmp_path / "codes.safetensors")), repr(minivit.forward(samples.CAT, model))):
        assert all(line.isprintable() for line in shown.split("\n"))
    assert minivit.forward(samples.CAT, model).top(2)[0][0] in labels              # in Python the names are as they are


def test_tensor_names_inside_files_are_not_obeyed(minivit_says, tmp_path):
    save_file({CODES: np.zeros(3, np.float32), "y" * 5000: np.zeros(3, np.float32)}, tmp_path / "odd.safetensors")
    status, out, err = minivit_says("predict", "--sample", "--model", tmp_path / "odd.safetensors")
    assert (status, out) == (2, "") and err[:-1].isprintable() and len(err) < 800 and err.startswith("minivit: ")
