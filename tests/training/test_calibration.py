"""The calibration error by hand and by a loop, the temperature against scikit-learn's, runs that end calibrated."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from toy_data import SHORT, TINY, colours, write_folder

import minivit
from minivit import softmax
from minivit.commands import cli
from minivit.images.preparation import normalise
from minivit.training import loop
from minivit.training.calibration import calibrated, expected_calibration_error, fitted_temperature
from minivit.training.evaluation import evaluate
from minivit.training.loop import train
from minivit.training.recipe import Recipe
from minivit.variants import as_config


def drawn(count, classes, spread, rng):
    """(logits, labels): each label is drawn from the softmax of its logits, which is therefore calibrated."""
    logits = spread * rng.standard_normal((count, classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, (p.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1).clip(max=classes - 1)


# The expected calibration error.

def test_four_answers_by_hand():
    """Bins of a half: 0.4 and 0.5 (right, wrong), gap |0.5 - 0.45|; 0.6 and 0.9 (both right), gap |1 - 0.75|."""
    p = np.array([[0.4, 0.3, 0.3], [0.5, 0.3, 0.2], [0.3, 0.6, 0.1], [0.05, 0.05, 0.9]])
    assert expected_calibration_error(p, [0, 1, 1, 2], bins=2) == pytest.approx((0.05 + 0.25) / 2, abs=1e-15)
    assert expected_calibration_error(p, [0, 1, 1, 2], bins=1) == pytest.approx(0.75 - 0.6, abs=1e-15)


@pytest.mark.parametrize("bins", [1, 7, 15, 100])
def test_the_error_is_that_of_a_loop_over_the_bins(rng, bins):
    logits, labels = drawn(500, 4, 2.0, rng)
    p = softmax.forward(1.7 * logits)[0]
    p[:3] = [[0.4, 0.2, 0.2, 0.2], [0.6, 0.4, 0, 0], [1, 0, 0, 0]]          # on an edge, a bin holds its upper one
    error = 0.0
    for m in range(1, bins + 1):
        inside = [(row.max(), row.argmax() == label) for row, label in zip(p, labels)
                  if (m - 1) / bins < row.max() <= m / bins]
        if inside:
            confidence, right = np.mean(inside, axis=0)
            error += len(inside) / 500 * abs(right - confidence)
    assert error > 0.01 and expected_calibration_error(p, labels, bins) == pytest.approx(error, abs=1e-14)
    if bins == 15:
        assert expected_calibration_error(p, labels) == expected_calibration_error(p, labels, 15)


def test_the_error_of_the_packaged_model_is_that_of_its_card():
    """The answers' probabilities are packaged; the card has their error to three digits."""
    models = Path(minivit.__file__).parent / "models"
    with np.load(models / "cifar10_test_predictions.npz") as file:
        labels, predicted, confidence = file["labels"], file["predicted"], file["confidence"]
    p = np.where(np.arange(10) == predicted[:, None], confidence[:, None], 0)
    card = (models / "cifar10.md").read_text(encoding="utf-8")
    told = re.search(r"expected calibration error \(15 bins of equal width\) (0\.\d{3})", card)
    assert expected_calibration_error(p, labels) == pytest.approx(float(told[1]), abs=5e-4)


@pytest.mark.parametrize("p, labels, said", [
    ([[0.5, 0.5]], [0, 1], r"shapes \(1, 2\) and \(2,\)"), ([0.5, 0.5], [0, 1], r"shapes \(2,\) and \(2,\)"),
    (np.zeros((0, 2)), np.zeros(0, int), r"shapes \(0, 2\) and \(0,\)"), ([[np.nan, 0.5]], [0], "NaN or infinity"),
    ([[3.0, -1.0]], [0], "from 0 to 1, found others"), ([[0.5, 0.5]], [2], "from 0 to 1, found 2 to 2"),
    ([[0.5, 0.5]], [0.0], "whole numbers, found dtype float64"),
])
def test_what_has_no_error(p, labels, said):
    with pytest.raises(ValueError, match=said) as caught:
        expected_calibration_error(p, labels)
    assert "\n" not in str(caught.value)


def test_bins_are_at_least_one():
    with pytest.raises(ValueError, match="bins is a whole number from 1"):
        expected_calibration_error([[1.0, 0.0]], [0], bins=0)


# The temperature.

@pytest.mark.parametrize("classes, penalty", [(3, 100.0), (3, 0.01), (6, 1.0)])
def test_the_temperature_is_scikit_learns(rng, classes, penalty):
    """A logistic regression, sure of too much or of too little, calibrated on other examples than its own."""
    from sklearn.calibration import CalibratedClassifierCV  # here, as importing them takes seconds
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression
    truth = rng.standard_normal((classes, 8))
    x = rng.standard_normal((400, 8))
    y = (x @ truth.T + 2 * rng.standard_normal((400, classes))).argmax(axis=1)
    classifier = FrozenEstimator(LogisticRegression(C=penalty, max_iter=2000).fit(x[:60], y[:60]))
    logits = classifier.decision_function(x[60:])
    theirs = CalibratedClassifierCV(classifier, method="temperature").fit(x[60:], y[60:])
    tau = fitted_temperature(logits, y[60:])
    assert abs(tau - 1) > 0.1
    np.testing.assert_allclose(softmax.forward(logits / tau)[0], theirs.predict_proba(x[60:]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 0.03, 1.0, 40.0, 1e6])
def test_the_slope_is_zero_there_whatever_the_logits_scale(rng, factor):
    """By central differences of the loss in log τ, in which its curvature has no scale."""
    logits, labels = drawn(200, 5, 2.0, rng)
    logits *= factor
    tau = fitted_temperature(logits, labels)

    def measured(log_tau):
        return float(minivit.loss.forward(logits / np.exp(log_tau), labels)[0])

    h = 1e-3
    below, here, above = (measured(np.log(tau) + step) for step in (-h, 0, h))
    slope, curvature = (above - below) / (2 * h), (above - 2 * here + below) / h ** 2
    assert curvature > 0.1 and abs(slope / curvature) < 1e-5


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0])
def test_a_factor_on_calibrated_logits_is_found(factor):
    """Within four standard errors: the Fisher information of log τ is n times the variance of s/τ under p."""
    logits, labels = drawn(4000, 10, 1.5, np.random.default_rng(7))
    p = softmax.forward(logits)[0]
    variance = ((p * logits ** 2).sum(axis=1) - (p * logits).sum(axis=1) ** 2).mean()
    standard_error = 1 / np.sqrt(len(labels) * variance)
    tau = fitted_temperature(factor * logits, labels)
    assert standard_error < 0.02 and abs(np.log(tau / factor)) < 4 * standard_error
    before, after = (expected_calibration_error(softmax.forward(factor * logits / t)[0], labels) for t in (1, tau))
    assert after < 0.03 and (before > 0.1 or factor == 1)


def test_a_constant_on_an_images_logits_changes_nothing(rng):
    """So log-probabilities do as well as logits. float32 and lists are taken too."""
    logits, labels = drawn(300, 4, 3.0, rng)
    tau = fitted_temperature(logits, labels)
    assert fitted_temperature(logits + 1000 * rng.standard_normal((300, 1)), labels) == pytest.approx(tau, rel=1e-9)
    assert fitted_temperature(minivit.loss.log_softmax(logits), labels) == pytest.approx(tau, rel=1e-12)
    assert fitted_temperature(logits.astype(np.float32).tolist(), labels.tolist()) == pytest.approx(tau, rel=1e-5)


def test_four_images_by_hand():
    """s = 2 for one class of two, right for three images of four: p = 3/4 where 2/τ = log 3."""
    logits = np.array([[2.0, 0.0]] * 4)
    assert fitted_temperature(logits, [0, 0, 0, 1]) == pytest.approx(2 / np.log(3), rel=1e-14)


@pytest.mark.parametrize("logits, labels, said", [
    ([[2.0, 1.0], [0.0, 3.0]], [0, 1], "every label has the largest logit"),
    ([[2.0, 2.0], [0.0, 3.0]], [1, 1], "every label has the largest logit"),
    ([[2.0, 1.0], [0.0, 3.0]], [1, 0], "no larger than those of all classes"),
    ([[2.0, 1.0], [2.0, 1.0]], [1, 0], "no larger than those of all classes"),
    ([[2.0, 2.0], [1.0, 1.0]], [1, 0], "no larger than those of all classes"),
    ([[np.inf, 2.0]], [1], "logits are finite, found NaN or infinity"), ([[1.0, 2.0]], [-1], "found -1 to -1"),
    ([[1.0, 2.0]], [0, 1], r"shapes \(1, 2\) and \(2,\)"), ([1.0, 2.0], [0, 1], r"shapes \(2,\) and \(2,\)"),
])
def test_where_no_temperature_fits(logits, labels, said):
    with pytest.raises(ValueError, match=said) as caught:
        fitted_temperature(logits, labels)
    assert "\n" not in str(caught.value)


# A model's.

@pytest.mark.parametrize("variant", [{}, {"pool": "distilled", "dist_token": True},
                                     {"pool": "map", "class_token": False}], ids=str)
def test_a_calibrated_models_logits_are_divided(rng, variant):
    config = as_config(TINY, num_classes=3, **variant)
    model = minivit.init(config, seed=1, labels=["a", "b", "c"], dtype="float64")
    heads = [name for name in ("head", "head_dist") if name in model.params]
    for name in heads:
        for leaf in model.params[name].values():
            leaf += rng.standard_normal(leaf.shape)
    before = minivit.trees.tree_map(np.copy, model.params)
    x = rng.standard_normal((2, 8, 8, 3))
    found = calibrated(model, np.float64(2.5))
    assert len(heads) == 1 + (variant.get("pool") == "distilled")
    np.testing.assert_allclose(found(x), model(x) / 2.5, rtol=1e-13)
    minivit.trees.tree_map(np.testing.assert_array_equal, model.params, before)
    assert found.labels == model.labels and found.config == config
    assert calibrated(model.astype("float32"), np.float64(2.5)).params["head"]["weight"].dtype == np.float32


def test_a_model_without_a_head_is_refused():
    model = minivit.init(TINY, num_classes=0)
    with pytest.raises(ValueError, match="the model has no head whose logits a temperature could divide"):
        calibrated(model, 2.0)


@pytest.mark.parametrize("tau", [0, -1.0, np.nan, np.inf, 1e-40, "2", None, True])
def test_a_temperature_is_above_zero_and_finite(tau):
    with pytest.raises(ValueError, match=r"tau is a number from 1e-30 to 1e\+30, found"):
        calibrated(minivit.init(TINY), tau)


# Runs.

LONGER = replace(SHORT, epochs=4, held_out=40, batch_size=8)                    # 5 steps an epoch


def run(folder, recipe=LONGER, **options):
    return train(colours(80, seed=3), TINY, recipe, folder, progress=False, **options)


def log(folder):
    with open(folder / "log.csv", encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(file)]


def held_out(recipe):
    data = colours(80, seed=3)
    return data.subset(np.sort(np.random.default_rng([recipe.seed]).permutation(len(data))[:recipe.held_out]))


@pytest.mark.parametrize("changes", [{}, {"average": 0.8}], ids=["last weights", "average"])
def test_a_runs_models_are_calibrated_on_the_images_held_out(tmp_path, changes):
    recipe = replace(LONGER, **changes)
    plain = run(tmp_path / "plain", recipe)
    found = run(tmp_path / "calibrated", replace(recipe, calibrate=True))
    plain_log, rows = log(tmp_path / "plain"), log(tmp_path / "calibrated")
    assert [list(row) for row in plain_log] == [[name for name in row if name != "temperature"] for row in rows]
    assert all({**row, "temperature": None} == {**other, "temperature": None} for row, other in zip(rows, plain_log))

    data = held_out(recipe)
    logits = plain(normalise(data.images, plain.preprocessing))
    tau = float(rows[-1]["temperature"])
    assert abs(tau - 1) > 0.05 and tau == pytest.approx(fitted_temperature(logits, data.labels), rel=1e-5)
    saved = minivit.load(tmp_path / "calibrated" / "model.safetensors")
    for model in (found, saved):
        divided = model(normalise(data.images, model.preprocessing))
        np.testing.assert_allclose(divided, logits / tau, rtol=1e-4, atol=1e-5)
        for name in ("weight", "bias"):
            np.testing.assert_array_equal(model.params["head"][name], plain.params["head"][name] / np.float32(tau))
    assert evaluate(found, data)["loss"] < evaluate(plain, data)["loss"]
    assert evaluate(found, data)["accuracy"] == evaluate(plain, data)["accuracy"]

    best = max(range(recipe.epochs), key=lambda epoch: (float(rows[epoch]["held_out_accuracy"]), -epoch))
    theirs, ours = (minivit.load(tmp_path / name / "best.safetensors") for name in ("plain", "calibrated"))
    divisor = float(rows[best]["temperature"] or 1)
    np.testing.assert_allclose(ours.params["head"]["weight"], theirs.params["head"]["weight"] / divisor, rtol=1e-6)


def test_a_stopped_run_ends_calibrated_with_the_same_bits(tmp_path):
    recipe = replace(LONGER, calibrate=True, average=0.8)
    whole = run(tmp_path / "whole", recipe)
    for stop in (3, 5, 12, 19):
        run(tmp_path / str(stop), recipe, stop_after=stop)
        again = run(tmp_path / str(stop), recipe)
        for name in ("model.safetensors", "best.safetensors"):
            assert (tmp_path / str(stop) / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert log(tmp_path / str(stop)) == log(tmp_path / "whole")
        finished = run(tmp_path / str(stop), recipe)
        for model in (again, finished):
            minivit.trees.tree_map(np.testing.assert_array_equal, model.params, whole.params)


def test_a_run_goes_on_where_no_temperature_fits(tmp_path, monkeypatch):
    """As if all images held out were named rightly from the second epoch on."""
    calls = []

    def some_fit(log_p, labels):
        calls.append(labels)
        return 2.0 if len(calls) == 1 else fitted_temperature(log_p, log_p.argmax(axis=1))

    monkeypatch.setattr(loop, "fitted_temperature", some_fit)
    plain = run(tmp_path / "plain")
    found = run(tmp_path / "run", replace(LONGER, calibrate=True), stop_after=7)
    found = run(tmp_path / "run", replace(LONGER, calibrate=True))
    assert [row["temperature"] for row in log(tmp_path / "run")] == ["2.0", "", "", ""]
    minivit.trees.tree_map(np.testing.assert_array_equal, found.params, plain.params)


@pytest.mark.parametrize("change, said", [
    *((lambda row, value=value: row.update(temperature=value), "temperature of epoch 1 is a number")
      for value in (0, -1.0, "x", True, 1e300)), (lambda row: row.pop("temperature"), "it has no 'temperature'"),
])
def test_a_state_with_no_such_temperature_is_damaged(tmp_path, change, said):
    run(tmp_path, replace(LONGER, calibrate=True), stop_after=6)
    path = tmp_path / "state.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    progress = json.loads(metadata["progress"])
    change(progress["log"][0])
    save_file(load_file(path), path, metadata | {"progress": json.dumps(progress)})
    with pytest.raises(minivit.CheckpointError, match=said):
        run(tmp_path, replace(LONGER, calibrate=True))


def test_without_images_held_out_nothing_is_calibrated():
    with pytest.raises(ValueError, match="calibrate changes nothing without images held out, and held_out is 0"):
        Recipe(calibrate=True, held_out=0)


@pytest.mark.parametrize("value", [0, 1, None, "no", []])
def test_calibrate_is_true_or_false(value):
    with pytest.raises(ValueError, match="calibrate is True or False, found"):
        Recipe(calibrate=value)


# The commands.

COMMAND = ["--epochs", "4", "--batch-size", "8", "--width", "16", "--layers", "1", "--heads", "2", "--mlp-width", "32",
           "--image-size", "8", "--padding", "1", "--warmup-epochs", "1", "--seed", "5"]


def test_the_command_calibrates_and_says_so(tmp_path, capsys):
    write_folder(colours(80, seed=3), tmp_path / "data")
    command = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *COMMAND, "--calibrate"]
    for _ in range(2):                                                  # a finished run says it again
        assert cli.main([*command, "--held-out", "40"]) == 0
        out, err = capsys.readouterr()
        tau = float(log(tmp_path / "run")[-1]["temperature"])
        assert out == f"{tmp_path / 'run' / 'model.safetensors'}\n"
        assert err.splitlines()[-1] == ("minivit: the model's logits are divided by the temperature that fits "
                                        f"the 40 images held out, {tau:.4g}")
    for number, said in ((["--held-out", "0"], "--calibrate changes nothing without images held"),
                         ([], "recipe --held-out 40, not 8")):
        assert cli.main([*command, *number]) == 2                       # a tenth of 80 where none is given
        out, err = capsys.readouterr()
        assert out == "" and said in err.splitlines()[-1]


def test_the_command_says_where_no_temperature_fits(tmp_path, capsys):
    """One image held out: named rightly, or its label has the smaller of two logits."""
    write_folder(colours(80, seed=3), tmp_path / "data")
    assert cli.main(["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *COMMAND, "--calibrate",
                     "--held-out", "1"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == (
        "minivit: the model is not calibrated, because no temperature fits the 1 images held out")


def test_evaluate_tells_confidence_and_error(tmp_path, capsys):
    data = colours(30)
    write_folder(data, tmp_path / "data")
    model = calibrated(minivit.init(TINY, seed=2, labels=data.classes), 0.2)
    minivit.save(model, tmp_path / "model.safetensors")
    result = tmp_path / "r.json"
    assert cli.main(["evaluate", str(tmp_path / "data"), "--model", str(tmp_path / "model.safetensors"), "--json",
                     str(result)]) == 0
    figures, out = json.loads(result.read_text("utf-8")), capsys.readouterr().out
    p = evaluate(model, data)["probabilities"]
    assert figures["mean_confidence"] == pytest.approx(p.max(axis=1).mean(), rel=1e-6)
    assert figures["expected_calibration_error"] == pytest.approx(expected_calibration_error(p, data.labels), rel=1e-6)
    assert (f"mean confidence {figures['mean_confidence']:.2%}, expected calibration error "
            f"{figures['expected_calibration_error']:.4f} (15 bins)\n") in out
