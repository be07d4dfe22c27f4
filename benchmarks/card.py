"""The packaged model, the measured parts of its card, minivit/models/cifar10.md, and the card's pictures.

    python -m benchmarks.card cifar10.zip                    # measure the packaged model anew
    python -m benchmarks.card cifar10.zip --package RUN      # package the weights and log of a run first

The weights of a run are stored as float16, with the head divided by the temperature that fits the training images held
out: by the default --seed and --held-out, so the run must have had these. The test images are read once, at the end.
"""

import argparse
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

import minivit
from minivit import samples
from minivit.checkpoints.containers import MODELS
from minivit.explain.answers.learning_curves import read_log
from minivit.explain.attention.rollout import rollout_figure
from minivit.images.preparation import denormalise
from minivit.loss import log_softmax
from minivit.training.calibration import calibrated, expected_calibration_error, fitted_temperature
from minivit.training.data import read_labelled_images
from minivit.training.evaluation import confusion, evaluate
from minivit.training.loop import hold_out
from minivit.training.recipe import Recipe
from minivit.training.record import CURVE, draw_curve

CARD, WEIGHTS = MODELS / "cifar10.md", MODELS / "cifar10.safetensors"
LOG, ANSWERS = MODELS / "cifar10_log.csv", MODELS / "cifar10_test_predictions.npz"
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
SHIFT = 2                                                                # pixels


def package(run, data, recipe):
    """A run's averaged weights, log and curve become the package's. Returns the temperature that its head is divided
    by, with that by which `minivit train --calibrate` has divided it already.
    """
    weights = run / "model.safetensors"
    whole = replace(minivit.load(weights).preprocessing, resize="stretch")               # photos of any shape, uncut
    model = minivit.load(weights, preprocessing=whole)
    tau = temperature(model, data, recipe)
    packaged = calibrated(model, tau)
    packaged.name = WEIGHTS.stem
    minivit.save(packaged, WEIGHTS, "float16")
    shutil.copyfile(run / "log.csv", LOG)
    log = read_log(LOG)
    draw_curve(log, run)
    shutil.copyfile(run / CURVE, PICTURES / "cifar10_curve.png")
    return tau * (log[-1].get("temperature") or 1)


def temperature(model, data, recipe):
    """The temperature that fits the training images that a run with this recipe holds out."""
    train = read_labelled_images(data, "train", model.config.height_width, model.preprocessing)
    held_out = hold_out(train, recipe)[1]
    return fitted_temperature(evaluate(model, held_out)["log_probabilities"], held_out.labels)


def moved(images, down, right):
    """Images (n, H, W, 3) shifted by whole pixels; what comes into sight is black."""
    result = np.zeros_like(images)
    h, w = images.shape[1:3]
    result[:, max(down, 0):h + min(down, 0), max(right, 0):w + min(right, 0)] = \
        images[:, max(-down, 0):h - max(down, 0), max(-right, 0):w - max(right, 0)]
    return result


def measured(model, test, tau, left):
    """The rows of the card's table that are measured, and the result on the test images as they are.

    tau: what the model's head has been divided by. left: what would fit it as it is.
    """
    plain = evaluate(model, test)
    log_p = plain["log_probabilities"].astype(np.float64)

    def accuracy(images):
        return f"{evaluate(model, replace(test, images=images))['accuracy']:.2%}"

    def calibration(factor):
        p = np.exp(log_softmax(factor * log_p))
        return f"{expected_calibration_error(p, test.labels):.3f}, mean confidence {p.max(axis=1).mean():.3f}"

    shifts = {"to the right": (0, SHIFT), "to the left": (0, -SHIFT), "down": (SHIFT, 0), "up": (-SHIFT, 0)}
    moves = ", ".join(f"{accuracy(moved(test.images, *by))} {where}" for where, by in shifts.items())
    fits = "which fits the images held out"
    told = (f"{calibration(1)}; with logits divided by {left:.3f}, {fits}: {calibration(1 / left)}" if tau == 1 else
            f"{calibration(1)}, its logits divided by {tau:.3f}, {fits}; without: {calibration(tau)}")
    return [
        f"| test accuracy | **{plain['accuracy']:.2%}** of the 10,000 test images, "
        f"cross-entropy {plain['loss']:.3f} nats |",
        f"| calibration | expected calibration error (15 bins of equal width) {told} |",
        f"| robustness | {accuracy(test.images[:, :, ::-1])} of the test images flipped horizontally; "
        f"shifted by {SHIFT} pixels, the border black: {moves} |"], plain


def confusions(counts, classes):
    """The table of accuracies and confusions. counts: (K, K)."""
    lines = [f"| class | right | {' | '.join(classes)} |", "|---|---|" + "---|" * len(classes)]
    return lines + [f"| {name} | {row[k] / row.sum():.1%} | {' | '.join(map(str, row))} |"
                    for k, (name, row) in enumerate(zip(classes, counts))]


def photos(model):
    """The table of the photos that come with the package."""
    lines = ["| photo | is | three likeliest answers |", "|---|---|---|"]
    paths = [(samples.CAT, "cat"), (samples.CAT_UNCROPPED, "cat"),
             *((path, path.parent.name) for path in sorted(samples.PHOTOS.rglob("*.jpg")))]
    for path, label in paths:
        top = minivit.forward(path, model).top(3)
        answers = ", ".join(f"{name} {share:.0%}" for name, share in top)
        right = "" if top[0][0] == label else " (wrong)"
        lines.append(f"| `{path.relative_to(samples.CAT.parent).as_posix()}` | {label} | {answers}{right} |")
    return lines


def draw_maps(model):
    """Where [CLS] looks in the first test image of each class, as a picture."""
    images, labels = samples.cifar10_test()
    p = minivit.forward(images[::10], model)
    rollout_figure(denormalise(p.x, model.preprocessing), p.attention, model.config.grid,
                   [model.labels[k] for k in labels[::10]]).savefig(PICTURES / "attention_of_ten.png", dpi=150)


def filled(text, name, lines):
    """The text with these lines between the marks of this name, which stand on lines of their own."""
    block = "\n".join((f"<!-- {name} -->", *lines, f"<!-- /{name} -->"))
    text, count = re.subn(rf"<!-- {name} -->.*<!-- /{name} -->", lambda _: block, text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{CARD.name} has {count} places for {name}, expected one")
    return text


def main():
    """Package where asked, measure, and fill the card in."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="holds train/<class> and test/<class>")
    parser.add_argument("--package", type=Path, metavar="RUN", help="the folder of a run of minivit train")
    options = parser.parse_args()
    recipe = Recipe()
    if options.package:
        tau = package(options.package, options.data, recipe)
    else:
        with np.load(ANSWERS) as file:
            tau = float(file["temperature"]) if "temperature" in file else 1.0
    model = minivit.load()
    test = read_labelled_images(options.data, "test", model.config.height_width, model.preprocessing)
    if list(test.classes) != list(model.labels):
        raise SystemExit(f"expected the classes {', '.join(model.labels)}, found {', '.join(test.classes)}")
    rows, result = measured(model, test, tau, temperature(model, options.data, recipe))
    predicted, confidence = result["probabilities"].argmax(axis=1), result["probabilities"].max(axis=1)
    text = CARD.read_text("utf-8")
    text = filled(text, "confusion", confusions(confusion(test.labels, predicted, 10), model.labels))
    text = filled(text, "photos", photos(model))
    head, tail = text.split("| test accuracy |")[0], text.split("| robustness |")[1].split("\n", 1)[1]
    np.savez_compressed(ANSWERS, labels=test.labels.astype(np.uint8), predicted=predicted.astype(np.uint8),
                        confidence=confidence.astype(np.float32), temperature=np.float64(tau))
    CARD.write_text(head + "\n".join(rows) + "\n" + tail, "utf-8")
    draw_maps(model)
    print("\n".join(rows))


if __name__ == "__main__":
    main()
