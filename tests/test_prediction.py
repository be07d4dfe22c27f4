"""`minivit.forward` and `minivit.backward`: one image or many, from pixels to names and back."""

import numpy as np
import pytest
from PIL import Image

import minivit
from minivit import samples, softmax

LABELS = ["cat", "dog", "owl"]
CONFIG = minivit.ViTConfig(patch_size=4, width=8, num_layers=2, mlp_width=16, num_heads=2, num_classes=3,
                           image_size=(8, 12))


@pytest.fixture(scope="module")
def model():
    return minivit.init(CONFIG, seed=1, labels=LABELS, dtype="float64")


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 256, (3, 20, 25, 3), dtype=np.uint8)


def test_one_image(model, photos):
    p = minivit.forward(photos[0], model)
    expected = model(model.prepare(photos[0]))[0]
    assert p.logits.shape == p.probabilities.shape == (3,) and len(p) == 1
    np.testing.assert_array_equal(p.logits, expected)
    np.testing.assert_allclose(p.probabilities, np.exp(expected) / np.exp(expected).sum(), rtol=1e-12)
    ranked = sorted(zip(p.probabilities, LABELS), reverse=True)
    assert p.top(2) == [(label, pytest.approx(q)) for q, label in ranked[:2]]
    assert len(p.top()) == 3
    assert [a.shape for a in p.attention] == [(2, 7, 7)] * 2
    np.testing.assert_allclose(p.attention[1].sum(axis=-1), 1, rtol=1e-12)


@pytest.mark.parametrize("kind", ["array", "list", "mixed"])
def test_a_batch(model, photos, kind, tmp_path):
    Image.fromarray(photos[2]).save(tmp_path / "photo.png")
    batch = {"array": photos, "list": list(photos),
             "mixed": [photos[0], Image.fromarray(photos[1]), tmp_path / "photo.png"]}[kind]
    p = minivit.forward(batch, model)
    assert p.logits.shape == p.probabilities.shape == (3, 3) and len(p) == 3
    assert [a.shape for a in p.attention] == [(3, 2, 7, 7)] * 2
    for i, (member, top) in enumerate(zip(p, p.top(2))):
        alone = minivit.forward(photos[i], model)
        np.testing.assert_allclose(member.logits, alone.logits, rtol=1e-12)
        assert [label for label, _ in member.top(2)] == [label for label, _ in alone.top(2)] == [t[0] for t in top]
        np.testing.assert_allclose(member.attention[0], alone.attention[0], rtol=1e-12)
    np.testing.assert_array_equal(p[-1].logits, p[2].logits)


def test_a_batch_of_one_stays_a_batch(model, photos):
    for batch in (photos[:1], [photos[0]]):
        p = minivit.forward(batch, model)
        assert p.logits.shape == (1, 3) and len(p.top()) == 1 and isinstance(p.top()[0], list)
        assert p[0].logits.shape == (3,)


def test_members_out_of_range(model, photos):
    p = minivit.forward(photos, model)
    for index in (3, -4):
        with pytest.raises(IndexError, match="a batch of 3"):
            p[index]
    with pytest.raises(TypeError, match=r"p\[0\] to p\[2\]"):
        p[0:2]


def test_the_trace_ends_in_the_prediction(model, photos):
    p = minivit.forward(photos, model)
    assert list(p.trace)[:5] == ["pixels", "patches", "patch_embedding", "tokens", "embedded"]
    np.testing.assert_allclose(p.trace["logits"], p.logits, rtol=1e-12)
    np.testing.assert_allclose(p.trace["probabilities"], p.probabilities, rtol=1e-12)
    assert p.trace is p.trace


def test_repr(model, photos):
    told = repr(minivit.forward(photos[0], model))
    assert told.splitlines()[0] == "Prediction by a ViT, 8 x 12 pixels" and all(label in told for label in LABELS)
    batch = repr(minivit.forward(photos, model))
    assert "3 images" in batch and "image 2" in batch


def test_a_model_without_head(photos):
    model = minivit.init(CONFIG, num_classes=0)
    p = minivit.forward(photos, model)
    assert p.logits.shape == (3, 8) and "no head" in repr(p)
    for call in (p.top, lambda: p.probabilities, lambda: minivit.backward(photos[0], 0, model)):
        with pytest.raises(ValueError, match="no head"):
            call()


def test_without_labels_classes_have_numbers(photos):
    top = minivit.forward(photos[0], minivit.init(CONFIG)).top(3)
    assert sorted(label for label, _ in top) == ["class 0", "class 1", "class 2"]


def test_a_model_is_not_its_name_and_top_is_a_count(model, photos):
    for call in (minivit.forward, lambda image, name: minivit.backward(image, 0, name)):
        with pytest.raises(ValueError, match=r"found 'B/16': minivit\.load or minivit.init makes one"):
            call(photos[0], "B/16")
    for count in (0, -1):
        with pytest.raises(ValueError, match="one class or more"):
            minivit.forward(photos[0], model).top(count)


def test_the_packaged_model_is_the_default():
    p = minivit.forward(samples.CAT)
    assert p.top(1)[0][0] == "cat"
    assert set(label for label, _ in p.top(10)) == set(samples.CLASSES)
    assert "cifar10" in repr(p)
    images, labels = samples.cifar10_test()
    assert images.shape == (100, 32, 32, 3) and (np.bincount(labels) == 10).all()
    found = minivit.forward(images).probabilities.argmax(axis=1)
    assert (found == labels).mean() > 0.79                  # 90.6 % of all 10,000; the deviation of 100 is 3 %


def test_backward_agrees_with_finite_differences(model, photos):
    g = minivit.backward(photos, ["owl", "cat", "owl"], model)
    x, labels = model.prepare(photos), np.array([2, 0, 2])
    assert g.image.shape == x.shape
    assert g.loss == pytest.approx(float(model.loss_and_gradients(x, labels)[0]))
    rng = np.random.default_rng(0)
    direction, h = rng.standard_normal(x.shape), 1e-5
    higher, lower = (float(model.loss_and_gradients(x + s * h * direction, labels)[0]) for s in (1, -1))
    assert (g.image * direction).sum() == pytest.approx((higher - lower) / (2 * h), rel=1e-6)
    weight = model.params["head"]["weight"]
    direction = rng.standard_normal(weight.shape)

    def loss_at(step):
        head = {**model.params["head"], "weight": weight + step * direction}
        moved = model.with_params({**model.params, "head": head})
        return float(moved.loss_and_gradients(x, labels)[0])

    expected = (loss_at(h) - loss_at(-h)) / (2 * h)
    assert (g.params["head"]["weight"] * direction).sum() == pytest.approx(expected, rel=1e-6)


def test_labels_by_number_name_and_probability(model, photos):
    by_name = minivit.backward(photos[0], "dog", model)
    for label in (1, np.int64(1), [1], ["dog"], np.array([1]), np.array([[0.0, 1.0, 0.0]])):
        g = minivit.backward(photos[0], label, model)
        assert g.loss == by_name.loss
        np.testing.assert_array_equal(g.image, by_name.image)
    mixed = minivit.backward(photos[:2], ["dog", 2], model)
    assert mixed.loss == minivit.backward(photos[:2], [1, 2], model).loss
    p = softmax.forward(minivit.forward(photos[0], model).logits[None])[0]
    assert by_name.loss == pytest.approx(-np.log(p[0, 1]))
    g = minivit.backward(photos[0], p, model)                        # at its own answer the loss's gradient is zero
    assert np.abs(g.params["head"]["bias"]).max() < 1e-15


@pytest.mark.parametrize("label, said", [
    (3, "0 to 2"), (-1, "0 to 2"), (1.5, "whole numbers"), ("cow", "no class 'cow': it knows cat, dog, owl"),
    ([0, 1], "1 image.* 1 label.* found 2"), (None, "label|whole numbers"), ([[0.5, 0.5]], "labels of shape"),
])
def test_bad_labels(model, photos, label, said):
    with pytest.raises(ValueError, match=said) as caught:
        minivit.backward(photos[0], label, model)
    assert "\n" not in str(caught.value)
