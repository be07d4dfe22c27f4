from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL, copied, images, peaked_model, relative_error

import minivit
from minivit import loss, vit
from minivit.engine import threads
from minivit.trees import flatten


def test_calling_equals_forward():
    vit_model, x = peaked_model(), images()
    logits, _ = vit_model.forward(x)
    assert logits.shape == (3, 7) and relative_error(vit_model(x), logits) <= 1e-14


@pytest.mark.parametrize("available", [1, 2, 5])
def test_images_on_several_threads_give_the_same(available, monkeypatch):
    vit_model, x = peaked_model(), images(B=5)
    expected, cache = vit.forward(x, vit_model.params, SMALL)
    dlogits = np.random.default_rng(0).standard_normal(expected.shape)
    dx_expected, expected_grads = vit.backward(dlogits, cache)
    monkeypatch.setattr(threads, "thread_count", lambda: available)
    monkeypatch.setattr(threads, "IMAGES_PER_CHUNK", 2)
    logits, cache = vit_model.forward(x)
    assert len(cache) == {1: 3, 2: 4, 5: 5}[available]
    dx, grads = vit_model.backward(dlogits, cache)
    assert relative_error(vit_model(x), expected) <= 1e-14 and relative_error(logits, expected) <= 1e-14
    assert relative_error(dx, dx_expected) <= 1e-13
    for name, gradient in flatten(expected_grads).items():
        assert relative_error(flatten(grads)[name], gradient) <= 1e-12, name


def test_backward_twice_gives_the_same_answer_and_changes_nothing():
    vit_model, x = peaked_model(), images()
    kept = copied({"x": x, **vit_model.params})
    dlogits = np.random.default_rng(0).standard_normal((3, 7))
    _, cache = vit_model.forward(x)
    dx, grads = vit_model.backward(dlogits, cache)
    first = copied({"x": dx, **grads})
    vit_model.backward(3 * dlogits, cache)
    dx, grads = vit_model.backward(dlogits, cache)
    for name, gradient in flatten({"x": dx, **grads}).items():
        assert np.array_equal(gradient, flatten(first)[name]), name
    for name, before in flatten(kept).items():
        assert np.array_equal(flatten({"x": x, **vit_model.params})[name], before), name


@pytest.mark.parametrize("labels", [np.array([3, 0, 6]), np.random.default_rng(0).dirichlet(np.ones(7), 3)])
def test_loss_and_gradients(labels):
    vit_model, x = peaked_model(), images()
    value, grads = vit_model.loss_and_gradients(x, labels)
    logits, cache = vit_model.forward(x)
    expected, loss_cache = loss.forward(logits, labels)
    _, expected_grads = vit_model.backward(loss.backward(loss_cache), cache)
    assert float(value) == pytest.approx(float(expected), rel=1e-15)
    for name, gradient in flatten(expected_grads).items():
        assert relative_error(flatten(grads)[name], gradient) <= 1e-13, name


def test_a_step_against_the_gradient_lowers_the_loss_as_foreseen():
    """The first-order change of the loss, -η‖g‖², seen through the whole model and cross-entropy."""
    vit_model, x, labels = peaked_model(), images(), np.array([3, 0, 6])
    value, grads = vit_model.loss_and_gradients(x, labels)
    gradients = flatten(grads)
    step = 1e-6
    for name, weight in flatten(vit_model.params).items():
        weight -= step * gradients[name]
    moved, _ = vit_model.loss_and_gradients(x, labels)
    foreseen = -step * sum(float((g * g).sum()) for g in gradients.values())
    assert float(moved - value) == pytest.approx(foreseen, rel=1e-3) and foreseen < 0


@pytest.mark.parametrize("shape", [(16, 20, 3), (2, 20, 16, 3), (2, 3, 16, 20), (2, 16, 20, 4), (0, 16, 20, 3)])
def test_input_of_another_shape_is_an_error(shape):
    with pytest.raises(ValueError, match="empty batch" if shape[0] == 0 else r"\(B, 16, 20, 3\), found"):
        peaked_model()(np.zeros(shape))
    with pytest.raises(ValueError):
        peaked_model().forward(np.zeros(shape))


def test_input_is_cast_to_the_models_dtype():
    wide, narrow, x = peaked_model(), peaked_model().astype("float32"), images()
    assert narrow.dtype == np.float32 and narrow(x).dtype == np.float32
    assert wide(x.astype(np.float32)).dtype == np.float64
    assert relative_error(narrow(x), wide(x)) <= 1e-5


def test_astype_and_to_return_new_models():
    wide = peaked_model()
    narrow = wide.astype("float32")
    assert wide.dtype == np.float64 and all(w.dtype == np.float32 for w in flatten(narrow.params).values())
    assert wide.to("cpu").device == "cpu" and narrow.config == wide.config
    with pytest.raises(ValueError, match='"cpu" or "cuda", found \'tpu\''):
        wide.to("tpu")


@pytest.mark.parametrize("dtype", ["float16", "int32", "bfloat16", "complex128", "nonsense"])
def test_other_dtypes_are_an_error(dtype):
    with pytest.raises(ValueError, match="float32"):
        peaked_model().astype(dtype)
    with pytest.raises(ValueError, match="float32"):
        minivit.init(SMALL, dtype=dtype)


def test_labels_name_every_class():
    names = [f"kind {k}" for k in range(7)]
    assert minivit.init(SMALL, labels=names).labels == names
    with pytest.raises(ValueError, match="2 labels do not name 7 classes"):
        minivit.init(SMALL, labels=["cat", "dog"])


@pytest.mark.parametrize("labels", [list(range(7)), [None] * 7, np.arange(7), [b"a"] * 7, b"abcdefg", "abcdefg", 7,
                                    np.full((7, 1), "a"), np.array("a"), set("abcdefg"), [*"abcdef", 7]])
def test_labels_that_are_no_names_are_refused(labels):
    """Else `save` would write what `load` refuses, or the letters of one name would be seven names."""
    with pytest.raises(ValueError, match="classes' names, each a text, found") as caught:
        minivit.init(SMALL, labels=labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("labels", [tuple("abcdefg"), np.array(list("abcdefg")), [np.str_(c) for c in "abcdefg"]])
def test_names_of_every_kind_become_texts(labels):
    found = minivit.init(SMALL, labels=labels).labels
    assert found == list("abcdefg") and all(type(name) is str for name in found)


@pytest.mark.parametrize("name", [3, b"a", ["a"], {}])
def test_a_models_name_is_a_text(name):
    model = peaked_model()
    with pytest.raises(ValueError, match="name is a text or None, found"):
        minivit.VisionTransformer(SMALL, model.params, name=name)
    assert minivit.VisionTransformer(SMALL, model.params, name="a").name == "a"


@pytest.mark.parametrize("preprocessing", [{}, {"mean": (0, 0, 0)}, False])
def test_preprocessing_of_another_kind_is_refused(preprocessing):
    with pytest.raises(ValueError, match="preprocessing is a minivit"):
        minivit.init(SMALL, preprocessing=preprocessing)


def test_labels_of_images_are_checked():
    vit_model, x = peaked_model(), images()
    with pytest.raises(ValueError, match="from 0 to 6, found 0 to 7"):
        vit_model.loss_and_gradients(x, np.array([0, 1, 7]))


def test_same_seed_same_weights_in_both_precisions():
    one, two = minivit.init(SMALL, seed=4), minivit.init(SMALL, seed=4, dtype="float64")
    other = minivit.init(SMALL, seed=5)
    for name, weight in flatten(one.params).items():
        assert np.array_equal(weight, flatten(two.params)[name]), name
    assert not np.array_equal(one.params["blocks"][0]["mlp"]["fc1"]["weight"],
                              other.params["blocks"][0]["mlp"]["fc1"]["weight"])


def test_initial_weights_are_glorots():
    params = minivit.init(replace(SMALL, width=96, mlp_width=192)).params
    for weight, fan in ((params["patch_embed"]["proj"]["weight"], 48 + 96),
                        (params["blocks"][0]["attn"]["qkv"]["weight"], 96 + 96),
                        (params["blocks"][0]["attn"]["proj"]["weight"], 96 + 96),
                        (params["blocks"][0]["mlp"]["fc1"]["weight"], 96 + 192)):
        bound = np.sqrt(6 / fan)
        assert np.abs(weight).max() <= bound * (1 + 1e-6)
        assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.03)
    assert params["head"]["weight"].std() == pytest.approx(0.02, rel=0.1)
    assert params["pos_embed"].std() == pytest.approx(0.02, rel=0.1)
    for name, weight in flatten(params).items():
        if name.endswith("bias"):
            assert (weight == 0).all()
        if "norm" in name and name.endswith("weight"):
            assert (weight == 1).all()


def test_repr_tells_what_it_is():
    assert repr(minivit.init("Ti/16")) == ("VisionTransformer(Ti/16: 5,717,416 parameters, images of 224 x 224 pixels, "
                                           "1000 classes, float32 on cpu)")
    assert "D 24, L 3" in repr(peaked_model()) and "16 x 20" in repr(peaked_model())
