"""The packaged model's card says what its packaged answers say, and its measured rows are what they claim."""

import numpy as np
import pytest
from PIL import Image

import minivit
from benchmarks import card
from minivit.explain.answers.learning_curves import read_log
from minivit.images.preparation import normalise
from minivit.training.calibration import expected_calibration_error, fitted_temperature
from minivit.training.data import LabelledImages
from minivit.training.evaluation import confusion
from minivit.training.recipe import Recipe
from minivit.training.record import draw_curve


def block(name):
    return card.CARD.read_text("utf-8").partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- /{name} -->")[0]


def test_the_confusion_is_that_of_the_packaged_answers():
    with np.load(card.ANSWERS) as file:
        counts = confusion(file["labels"].astype(int), file["predicted"].astype(int), 10)
        right = (file["labels"] == file["predicted"]).mean()
    assert block("confusion").splitlines() == card.confusions(counts, minivit.load().labels)
    assert f"| test accuracy | **{right:.2%}** of the 10,000" in card.CARD.read_text("utf-8")


def test_the_photos_answers_are_the_packaged_models():
    assert block("photos").splitlines() == card.photos(minivit.load())


def test_images_are_moved_and_black_comes_in():
    images = np.arange(1, 1 + 2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    for down, right in ((2, 0), (-2, 0), (0, 2), (0, -2), (1, -3)):
        found = card.moved(images, down, right)
        for i in range(4):
            for j in range(5):
                inside = 0 <= i - down < 4 and 0 <= j - right < 5
                assert (found[:, i, j] == (images[:, i - down, j - right] if inside else 0)).all()


@pytest.fixture
def model():
    model = minivit.init(minivit.ViTConfig(image_size=8, patch_size=4, width=8, num_layers=1, num_heads=2, mlp_width=8,
                                           num_classes=3), seed=1)
    return card.calibrated(model, 1 / 40)                           # a freshly made head is faint


def labelled(model, rng):
    """Random images, most of them with the label that the model gives them."""
    images = rng.integers(0, 256, (200, 8, 8, 3), np.uint8)
    logits = model(normalise(images, model.preprocessing))
    labels = np.where(rng.random(200) < 0.7, logits.argmax(axis=1), rng.integers(0, 3, 200))
    return LabelledImages(images, labels, ["a", "b", "c"], None), logits


def test_the_measured_rows(model, rng):
    """Of a model whose head was divided by 2, undivided is the model as it was."""
    data, logits = labelled(model, rng)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    whole, tau = f"{expected_calibration_error(p, data.labels):.3f}, mean confidence {p.max(axis=1).mean():.3f}", 2.0
    rows, _ = card.measured(card.calibrated(model, tau), data, tau, None)
    assert rows[1].endswith(f"without: {whole} |") and whole not in rows[1].partition("without")[0]
    left = fitted_temperature(logits, data.labels)
    rows, _ = card.measured(model, data, 1.0, left)
    assert whole in rows[1].partition("; with")[0] and f"divided by {left:.3f}" in rows[1]
    assert f"**{(p.argmax(axis=1) == data.labels).mean():.2%}**" in rows[0]

    def share(images):
        return f"{card.evaluate(model, LabelledImages(images, data.labels, data.classes, None))['accuracy']:.2%}"

    black = np.pad(data.images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    assert rows[2].startswith(f"| robustness | {share(data.images[:, :, ::-1])} of the test images flipped")
    assert rows[2].endswith(f"{share(black[:, 2:-2, :-4])} to the right, {share(black[:, 2:-2, 4:])} to the left, "
                            f"{share(black[:, :-4, 2:-2])} down, {share(black[:, 4:, 2:-2])} up |")


def test_a_run_is_packaged(model, rng, tmp_path, monkeypatch):
    """As float16, with its log, and a head with which no temperature but 1 fits the images held out."""
    monkeypatch.setattr(card, "WEIGHTS", tmp_path / "packaged.safetensors")
    monkeypatch.setattr(card, "LOG", tmp_path / "packaged.csv")
    monkeypatch.setattr(card, "PICTURES", tmp_path)
    (tmp_path / "run").mkdir()
    minivit.save(model, tmp_path / "run" / "model.safetensors")
    log = "epoch,loss,accuracy,held_out_loss,held_out_accuracy\n" + "".join(f"{n},1,0.5,1,0.5\n" for n in (1, 2, 3))
    (tmp_path / "run" / "log.csv").write_text(log, "utf-8")
    data, _ = labelled(model, rng)
    for i, (image, label) in enumerate(zip(data.images, data.labels)):
        path = tmp_path / "data" / "train" / data.classes[label] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    recipe = Recipe(held_out=120)
    tau = card.package(tmp_path / "run", tmp_path / "data", recipe)
    packaged = minivit.load(card.WEIGHTS)
    assert packaged.name == "packaged"
    for name, value in model.params["head"].items():
        np.testing.assert_allclose(packaged.params["head"][name], value / tau, rtol=1e-3)
    assert abs(tau - 1) > 0.1 and card.temperature(packaged, tmp_path / "data", recipe) == pytest.approx(1, abs=2e-3)
    assert card.WEIGHTS.stat().st_size < 0.7 * (tmp_path / "run" / "model.safetensors").stat().st_size
    assert packaged.preprocessing.resize == "stretch" and card.LOG.read_text("utf-8") == log
    drawn = (tmp_path / "cifar10_curve.png").read_bytes()
    draw_curve(read_log(card.LOG), tmp_path)
    assert drawn == (tmp_path / "curve.png").read_bytes()

    calibrated = [row + end for row, end in zip(log.splitlines(), (",temperature", ",", ",", ",2"))]
    (tmp_path / "run" / "log.csv").write_text("\n".join(calibrated) + "\n", "utf-8")
    assert card.package(tmp_path / "run", tmp_path / "data", recipe) == pytest.approx(2 * tau)


def test_the_maps_are_those_of_the_first_image_of_each_class(tmp_path, monkeypatch):
    """The packaged model's, none chosen: what is drawn, and that it is kept."""
    drawn, draw = [], card.rollout_figure
    monkeypatch.setattr(card, "rollout_figure", lambda *given: drawn.append(given) or draw(*given))
    monkeypatch.setattr(card, "PICTURES", tmp_path)
    model = minivit.load()
    card.draw_maps(model)
    (images, attention, grid, titles), = drawn
    thumbnails, labels = minivit.samples.cifar10_test()
    first = [int(np.flatnonzero(labels == k)[0]) for k in range(10)]
    assert titles == list(minivit.samples.CLASSES) and grid == model.config.grid
    np.testing.assert_allclose(255 * images, thumbnails[first], rtol=0, atol=1e-3)
    assert len(attention) == model.config.num_layers
    for layer, maps in enumerate(attention):
        theirs = minivit.forward(thumbnails[first[3]], model).trace[f"layer.{layer}.attention"][0]
        np.testing.assert_allclose(maps[3], theirs, rtol=0, atol=1e-5)
    with Image.open(tmp_path / "attention_of_ten.png") as picture:
        picture.load()
        assert picture.format == "PNG"


def test_a_card_without_the_place_is_refused():
    assert card.filled("a\n<!-- x -->\nold\n<!-- /x -->\nb", "x", ["new"]) == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"
    with pytest.raises(ValueError, match="has 0 places for x"):
        card.filled("a", "x", [])
