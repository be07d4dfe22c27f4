"""Figures and measurements of the first notebooks: numbers against known cases, loops, libraries and differences."""

import inspect
import io
import itertools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import minivit
from minivit import patch_embedding, position_embedding, samples
from minivit.commands import cli
from minivit.explain import style
from minivit.explain.answers.prediction_figure import cls_attention, prediction_figure
from minivit.explain.layers import shapes
from minivit.explain.patches import (
    convolution,
    filter_gain,
    filters,
    pixel_order,
    reach_figure,
    receptive_field,
    sequence,
)
from minivit.explain.source import show_source
from minivit.explain.tokens import (
    class_pairs,
    position_similarity,
    read_out,
    resampling_figure,
    shuffle_spread,
    shuffling,
)

SMALL = minivit.ViTConfig(patch_size=4, width=16, num_layers=2, mlp_width=24, num_heads=2, num_classes=3,
                          image_size=(12, 16))


@pytest.fixture(autouse=True)
def _no_windows_no_leftovers():
    matplotlib.use("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return minivit.init(SMALL, seed=1, dtype="float64")


def picture(seed=0, size=(12, 16)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


# The convolution

@pytest.mark.parametrize("stride, padding", [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)])
def test_convolution_is_its_definition(stride, padding):
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 3, 3, 4)), rng.standard_normal(4)
    y, _ = convolution.forward(x, {"weight": w, "bias": b}, stride, padding)
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    for n, i, j in np.ndindex(y.shape[:3]):
        window = padded[n, i * stride:i * stride + 3, j * stride:j * stride + 3]
        assert np.allclose(y[n, i, j], np.einsum("abc,abco->o", window, w) + b, rtol=0, atol=1e-12)
    assert y.shape[1:3] == ((7 + 2 * padding - 3) // stride + 1, (6 + 2 * padding - 3) // stride + 1)


@pytest.mark.parametrize("stride, padding", [(1, 1), (2, 0), (2, 1)])
def test_convolution_gradients(stride, padding):
    rng = np.random.default_rng(0)
    params = {"weight": rng.standard_normal((3, 3, 3, 2)), "bias": rng.standard_normal(2)}
    x = rng.standard_normal((2, 6, 7, 3))
    assert minivit.gradient_check(convolution, x, params, stride=stride, padding=padding)


# Receptive fields

def test_receptive_fields_known_from_the_literature():
    """Araujo et al. 2019 (Distill), table 1: VGG-16 212 pixels, ResNet-50 483."""
    vgg16 = [layer for convs in (2, 2, 3, 3, 3) for layer in [(3, 1)] * convs + [(2, 2)]]
    assert receptive_field.by_formula(vgg16)[-1] == (212, 32)
    resnet50 = [(7, 2), (3, 2)]
    for blocks, stride in ((3, 1), (4, 2), (6, 2), (3, 2)):
        resnet50 += [(1, stride), (3, 1), (1, 1)] + [(1, 1), (3, 1), (1, 1)] * (blocks - 1)
    assert receptive_field.by_formula(resnet50)[-1] == (483, 32)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_measured_receptive_field_of_convolutions_is_the_formula(depth):
    x = np.random.default_rng(0).standard_normal((1, 16, 16, 3))
    stack = receptive_field.random_convolutions(depth)
    field, _ = receptive_field.by_formula([(3, 1)] * depth)[-1]
    assert receptive_field.reach(receptive_field.convolution_gradient(x, stack, (8, 8))) == (field, field)


def test_attention_alone_makes_the_reach(model):
    x = model.prepare(picture())
    own = receptive_field.vit_gradient(model, x, 5, 0)
    assert np.array_equal(np.argwhere(own)[[0, -1]], [[4, 4], [7, 7]])             # patch 5 of a 3 x 4 grid
    assert receptive_field.reach(receptive_field.vit_gradient(model, x, 5, 1)) == (12, 16)
    deaf = [block | {"attn": block["attn"] | {"proj": {"weight": np.zeros((16, 16)), "bias": np.zeros(16)}}}
            for block in model.params["blocks"]]
    assert receptive_field.reach(receptive_field.vit_gradient(
        model.with_params(model.params | {"blocks": deaf}), x, 5, 2)) == (4, 4)


def test_vit_gradient_against_differences(model):
    x = model.prepare(picture())
    gradient = receptive_field.vit_gradient(model, x, 5, 2)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], 16)

    def output(x):
        return minivit.tracing.trace(model, x)["layer.1.output"][0, 6] @ signs

    for pixel in ((0, 0), (5, 6), (11, 15)):
        slopes = []
        for colour in range(3):
            step = np.zeros_like(x)
            step[(0, *pixel, colour)] = 1e-5
            slopes.append((output(x + step) - output(x - step)) / 2e-5)
        assert np.linalg.norm(slopes) == pytest.approx(gradient[pixel], abs=1e-7 * gradient.max())


def test_reach_and_share_within():
    gradient = np.zeros((6, 7))
    assert receptive_field.reach(gradient) == (0, 0)
    gradient[1, 2], gradient[3, 6] = 3, 1
    assert receptive_field.reach(gradient) == (3, 5)
    assert receptive_field.share_within(gradient, (1, 2), 1) == 0.75
    assert receptive_field.share_within(gradient, (1, 2), 4) == 1


# Shapes

@pytest.mark.parametrize("changes", [{}, {"pool": "mean", "class_token": False, "position": "sincos2d"},
                                     {"num_classes": 0}])
def test_letters_give_every_shape(changes):
    model = minivit.init(SMALL, seed=0, **changes)
    trace = minivit.forward([picture(0), picture(1)], model).trace
    assert {n: shapes.expected_shape(n, model.config, 2) for n in trace} == {n: a.shape for n, a in trace.items()}


def test_printed_shapes(model, capsys):
    shapes.print_shapes(small=minivit.forward(picture(), model).trace)
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["pixels"] == ["B", "H", "W", "C", "1", "12", "16", "3"]
    assert rows["layer.0.hidden"] == ["B", "T", "M", "1", "13", "24"]
    assert not any(name.startswith("layer.1.") for name in rows)


# Patches, filters

def test_patch_pictures_are_cut_out_of_the_picture():
    image = picture() / 255
    patches = sequence.patch_pictures(image, 4)
    for n in range(12):
        i, j = divmod(n, 4)
        assert np.array_equal(patches[n], image[4 * i:4 * i + 4, 4 * j:4 * j + 4])


def test_filter_components_are_scikit_learns():
    weight = np.random.default_rng(0).standard_normal((12, 40)) * np.arange(1, 13)[:, None]
    components, share = filters.filter_components(weight)
    from sklearn.decomposition import PCA  # here, as importing it takes seconds
    pca = PCA().fit(weight.T)
    assert np.allclose(share, pca.explained_variance_ratio_, rtol=0, atol=1e-12)
    assert np.allclose(np.abs(components), np.abs(pca.components_), rtol=0, atol=1e-10)
    assert (components.max(axis=1) >= -components.min(axis=1)).all()               # of two signs, the positive one


def test_filters_as_pictures_have_zero_in_grey():
    pictures = filters.as_pictures(np.array([[0.0, 2.0, -4.0] * 4]), 2)
    assert pictures.shape == (1, 2, 2, 3) and np.allclose(pictures[0, 0, 0], [0.5, 0.75, 0.0])


def test_cosine_patterns_are_an_orthonormal_basis_of_grey_patches():
    patterns = filter_gain.cosine_patterns(4).reshape(16, 48)
    assert np.allclose(patterns @ patterns.T, np.eye(16), rtol=0, atol=1e-14)
    assert np.allclose(patterns.reshape(16, 16, 3).std(axis=-1), 0)
    assert np.allclose(patterns[0], 1 / np.sqrt(48))                               # no wave: mean brightness
    assert np.allclose(filter_gain.gains(3 * np.eye(48), 4), 3)


# [CLS] and positions

def test_cosine_similarity_is_scikit_learns():
    vectors = np.random.default_rng(0).standard_normal((6, 5))
    from sklearn.metrics.pairwise import cosine_similarity
    assert np.allclose(read_out.cosine_similarity(vectors), cosine_similarity(vectors), rtol=0, atol=1e-14)


def test_nearest_mean_accuracy():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 10)
    assert read_out.nearest_mean_accuracy(3 * np.eye(3)[labels] + 0.1 * rng.standard_normal((30, 3)), labels) == 1
    assert read_out.nearest_mean_accuracy(np.ones((30, 4)), labels) == pytest.approx(1 / 3)
    # The last is nearest to the mean of its class only if it is counted itself: (1/2, 1) against (1, 1/20).
    vectors = np.array([[1.0, 0], [1, 0.1], [0, 1], [1, 1]])
    assert read_out.nearest_mean_accuracy(vectors, np.array([0, 0, 1, 1])) == pytest.approx(0.75)


def test_read_outs_begin_equal_and_end_at_the_representation(model):
    answer = minivit.forward([picture(0), picture(1)], model)
    cls, mean = read_out.read_outs(answer)
    assert len(cls) == len(mean) == 3
    assert np.array_equal(cls[0][0], cls[0][1]) and not np.allclose(cls[1][0], cls[1][1])
    normed, _ = minivit.layer_norm.forward(cls[-1], model.params["norm"])
    assert np.allclose(normed, answer.trace["representation"], rtol=0, atol=1e-12)
    assert np.allclose(mean[0], answer.trace["embedded"][:, 1:].mean(axis=1), rtol=0, atol=1e-12)


def test_cosines_within_classes_and_between_them_against_loops():
    rng = np.random.default_rng(0)
    vectors, labels = rng.standard_normal((7, 5)), np.array([0, 1, 0, 2, 1, 0, 2])
    unit = vectors / np.sqrt((vectors ** 2).sum(axis=1, keepdims=True))
    pairs = {(a, b): [] for a in range(3) for b in range(3)}
    for i, j in itertools.permutations(range(7), 2):
        pairs[labels[i], labels[j]].append(unit[i] @ unit[j])
    assert np.allclose(class_pairs.class_cosines(vectors, labels),
                       [[np.mean(pairs[a, b]) for b in range(3)] for a in range(3)], rtol=0, atol=1e-14)
    same = [cosine for (a, b), cosines in pairs.items() if a == b for cosine in cosines]
    other = [cosine for (a, b), cosines in pairs.items() if a != b for cosine in cosines]
    assert np.allclose(class_pairs.within_and_between(vectors, labels), [np.mean(same), np.mean(other)], atol=1e-14)


def test_between_class_share_is_the_anova_sum_of_squares():
    """Against SciPy's F test in one dimension: F = share / (1 - share) · (n - K) / (K - 1)."""
    labels = np.repeat([0, 1, 2], [4, 5, 6])
    values = np.random.default_rng(1).standard_normal(15) + labels
    from scipy import stats
    F = stats.f_oneway(*(values[labels == k] for k in range(3))).statistic
    share = class_pairs.between_class_share(values[:, None], labels)
    assert share / (1 - share) * 12 / 2 == pytest.approx(F)
    assert class_pairs.between_class_share(np.ones((15, 3)), labels) == 0
    assert class_pairs.between_class_share(np.eye(3)[labels], labels) == pytest.approx(1)


def test_the_jackknife_of_a_mean_is_its_textbook_standard_error():
    values = np.random.default_rng(2).standard_normal((20, 1))
    error = class_pairs.standard_error(lambda v, _: v.mean(), values, np.zeros(20, int))
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(20))


def test_sincos_similarity_depends_on_the_offset_alone():
    tiles = position_similarity.similarity_tiles(position_embedding.sincos_2d((3, 5), 16), (3, 5))
    by_offset = position_similarity.similarity_by_offset(tiles)
    frequency = 10_000.0 ** -(np.arange(4) / 4)
    for down, across in np.ndindex(3, 5):
        expected = (np.cos(frequency * across).sum() + np.cos(frequency * down).sum()) / 8
        assert by_offset[down, across] == pytest.approx(expected, abs=1e-12)
    line = position_similarity.similarity_by_distance_in_the_sequence(tiles)
    assert line[0] == pytest.approx(1) and line[10] == pytest.approx(by_offset[2, 0])


def test_similarity_tiles_leave_out_cls():
    table = np.random.default_rng(0).standard_normal((1, 7, 4))
    assert np.array_equal(position_similarity.similarity_tiles(table, (2, 3)),
                          position_similarity.similarity_tiles(table[0, 1:], (2, 3)))


def test_shuffled_patches_are_the_named_ones():
    x, order = picture()[None] / 255, np.random.default_rng(0).permutation(12)
    shuffled = shuffling.shuffle_patches(x, 4, order)
    assert np.array_equal(patch_embedding.patchify(shuffled, 4), patch_embedding.patchify(x, 4)[:, order])
    assert np.array_equal(shuffling.shuffle_patches(shuffled, 4, np.argsort(order)), x)


# The package's code in a notebook

def test_show_source_prints_the_file(capsys):
    show_source(patch_embedding.patchify, patch_embedding.unpatchify, minivit.cls_token)
    out = capsys.readouterr().out
    assert out.count("# minivit/patch_embedding.py") == out.count("# minivit/cls_token.py") == 1
    assert inspect.getsource(patch_embedding.unpatchify) in out and inspect.getsource(minivit.cls_token) in out


def test_show_source_without_docstrings(capsys):
    show_source(minivit.cls_token, minivit.vit.forward, convolution._windows, docstring=False)
    out = capsys.readouterr().out
    assert '"""' not in out and "np.concatenate([*tokens, x], axis=1)" in out
    assert "for section, block, queries in zip" in out
    compile(out, "shown", "exec")


# Figures

def assert_labelled(figure):
    """Every axis with ticks has a label, at least on the outermost of axes that share it."""
    for ax in figure.axes:
        if not ax.get_images() and not ax.has_data() and not ax.collections:
            continue
        for axis, outermost in ((ax.xaxis, ax.get_subplotspec() is None or ax.get_subplotspec().is_last_row()),
                                (ax.yaxis, ax.get_subplotspec() is None or ax.get_subplotspec().is_first_col())):
            named = any(isinstance(text, str) and any(c.isalpha() for c in text)
                        for text in (t.get_text() for t in axis.get_ticklabels()))
            if outermost and len(axis.get_ticklocs()) and axis.get_visible() and not named:
                assert axis.get_label().get_text(), f"an axis of {ax.get_title()!r} has no label"
    size = io.BytesIO()
    figure.savefig(size, format="png")
    assert size.tell() <= 150_000


@pytest.fixture(scope="module")
def packaged():
    return minivit.forward(samples.CAT)


def test_prediction_figure(packaged):
    figure = packaged.show()
    assert_labelled(figure)
    image, patches, attention, top, bar = figure.axes
    assert image.get_images()[0].get_array().shape == (32, 32, 3)
    from_cls = packaged.attention[-1][:, 0, 1:].mean(axis=0).reshape(8, 8)
    assert np.allclose(attention.get_images()[0].get_array(), from_cls)
    assert [t.get_text() for t in top.get_yticklabels()] == [label for label, _ in packaged.top(5)]
    assert [bar.get_width() for bar in top.patches] == pytest.approx([100 * p for _, p in packaged.top(5)])
    assert "[CLS]" in attention.get_title() and bar.get_ylabel() == "weight"
    # The gaps are white, and the patches are the image's.
    sheet = patches.get_images()[0].get_array()
    assert np.allclose(sheet[5:9, 10:14], image.get_images()[0].get_array()[4:8, 8:12]) and (sheet[4] == 1).all()


def test_prediction_figure_of_a_batch_and_of_other_models(model):
    assert len(prediction_figure(minivit.forward([picture(k) for k in range(3)], model)).axes) == 3 * 5
    assert len(prediction_figure(minivit.forward([picture(k) for k in range(9)], model)).axes) == 8 * 5
    headless = minivit.forward(picture(), minivit.init(SMALL, num_classes=0))
    assert "no head" in headless.show().axes[3].get_title()
    pooled = minivit.forward(picture(), minivit.init(SMALL, pool="mean", class_token=False))
    assert "all patches" in pooled.show().axes[2].get_title()
    assert cls_attention(pooled).shape == (3, 4) and cls_attention(pooled).sum() == pytest.approx(1, abs=1e-6)


def test_the_readers_own_settings_are_left_alone(packaged):
    before = dict(matplotlib.rcParams)
    packaged.show()
    assert dict(matplotlib.rcParams) == before


def test_signed_colours_are_symmetric():
    assert style.signed_limits(np.array([-1.0, 3.0])) == {"cmap": "PuOr", "vmin": -3.0, "vmax": 3.0}
    assert style.signed_limits(np.zeros(3))["vmax"] == 1.0


def test_every_figure_is_labelled_and_small(packaged, model):
    config, weight = packaged.model.config, packaged.model.params["patch_embed"]["proj"]["weight"]
    table = packaged.model.params["pos_embed"]
    image = picture(size=(32, 32))
    gradient = np.zeros((32, 32))
    gradient[3:9, 4:20] = 1 + np.random.default_rng(0).random((6, 16))
    cls, _ = read_out.read_outs(minivit.forward(samples.cifar10_test()[0][::5], packaged.model))
    probabilities = packaged.probabilities
    for figure in (
            sequence.sequence_figure(packaged),
            reach_figure.reach_figure([("a", [("1", gradient, (5, 6))] * 2), ("b", [("2", gradient, (5, 6))])],
                                      (32, 32)),
            reach_figure.growth_figure({"3 × 3": [3, 5, 7]}, 224),
            filters.filters_figure(weight, config.patch_size, weight),
            filters.filters_before_and_after_figure(weight, weight, config.patch_size, weight),
            filter_gain.gain_figure(config.patch_size, random=weight, trained=weight),
            pixel_order.pixel_order_figure(image[:8, :8], 4),
            read_out.read_out_figure(cls, samples.CLASSES, (0, 1, 6)),
            read_out.read_out_accuracy_figure({"[CLS]": [0.1, 0.5]}, 0.1, 100),
            shuffle_spread.shuffle_spread_figure(np.linspace(0, 1, 9), 3),
            position_similarity.similarity_figure((8, 8), trained=table),
            position_similarity.similarity_figure((8, 8), a=table, b=table, c=table, d=table),
            position_similarity.sequence_distance_figure(8, trained=np.linspace(1, 0, 64)),
            position_similarity.position_table_figure((8, 8), trained=table),
            shuffling.shuffle_figure(image, image, packaged.model.labels, model=(probabilities, probabilities)),
            resampling_figure.resampling_figure(np.arange(8.0), (12, 5))):
        assert_labelled(figure)


# The command

def test_explain_writes_the_same_figure_as_show(tmp_path, capsys, packaged):
    assert cli.main(["explain", str(samples.CAT), "-o", str(tmp_path / "out.png")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out.png'}\n"
    shown = io.BytesIO()
    packaged.show().savefig(shown, format="png")
    with Image.open(tmp_path / "out.png") as written:
        assert np.array_equal(np.asarray(written), np.asarray(Image.open(shown)))


@pytest.mark.parametrize("arguments, words", [
    (["-o", "x.png"], "no image given"), (["--sample", "-o", "x.txt"], "-o writes .png"),
    (["--sample", "-o", "x"], "-o writes .png"), (["nothing.jpg", "-o", "x.png"], "no such file: nothing.jpg"),
    (["--sample", "-o", "nowhere/x.png"], "no folder"), (["a"] * 9 + ["-o", "x.png"], "8 images, found 9")])
def test_mistakes_of_explain_are_one_line(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["explain", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
