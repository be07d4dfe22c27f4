"""The numbers behind the figures of notebooks 05 to 08: attention, MLP, layers and head."""

from itertools import pairwise

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import minivit
from minivit import attention, layer, layer_norm, mlp
from minivit.explain.answers import answer, class_directions, temperature
from minivit.explain.attention import maps, matrices, scale, token_influence
from minivit.explain.costs import parameter_shares
from minivit.explain.layers import (
    activation_curves,
    hidden_units,
    logit_contributions,
    logit_lens,
    residual_path,
    residual_stream,
)

matplotlib.use("agg")
CONFIG = minivit.ViTConfig(patch_size=4, width=16, num_layers=3, mlp_width=24, num_heads=2, num_classes=5,
                           image_size=(8, 12))


@pytest.fixture(scope="module")
def model():
    """Small, in float64, with weights large enough for attention that is not flat, and no norm that is the identity."""
    rng = np.random.default_rng(1)
    made = minivit.init(CONFIG, seed=0, dtype="float64")
    return made.with_params(minivit.trees.tree_map(lambda a: a + 0.4 * rng.standard_normal(a.shape), made.params))


@pytest.fixture(scope="module")
def prediction(model):
    return minivit.forward(np.random.default_rng(0).random((4, 8, 12, 3)), model)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(2).standard_normal((1, 7, 16))


# Attention

def test_attention_map_is_the_query_row_on_the_grid(prediction):
    weights = prediction.attention[1]                                   # (4, 2, 7, 7)
    drawn = maps.attention_map(weights, 3, CONFIG.grid)
    assert drawn.shape == (4, 2, 2, 3)
    for row in range(2):
        for column in range(3):
            np.testing.assert_array_equal(drawn[..., row, column], weights[..., 3, 1 + 3 * row + column])
    np.testing.assert_allclose(drawn.sum(axis=(-1, -2)), 1 - weights[..., 3, 0], atol=1e-12)


def test_attention_map_without_cls_and_with_a_wrong_grid():
    weights = np.random.default_rng(0).random((6, 6))
    np.testing.assert_array_equal(maps.attention_map(weights, 5, (3, 2)), weights[5].reshape(3, 2))
    with pytest.raises(ValueError, match="a grid of 2 x 2 patches makes 4 or"):
        maps.attention_map(weights, 0, (2, 2))


def test_attention_steps_lead_from_the_heads_to_what_is_attended(model, prediction):
    steps = matrices.attention_steps(prediction.trace, 2, image=1)
    proj = model.params["blocks"][2]["attn"]["proj"]
    np.testing.assert_allclose(steps["merged"] @ proj["weight"] + proj["bias"], steps["attended"], atol=1e-12)
    np.testing.assert_allclose(steps["heads"][1], steps["merged"][:, 8:], atol=1e-12)


def test_matrices_of_d_numbers_count_features_and_those_of_T_tokens(prediction):
    steps = matrices.attention_steps(prediction.trace, 0)
    one_a_head, merged = matrices.attention_matrices_figure(steps), matrices.merged_heads_figure(steps)
    words = [ax.get_xlabel() for ax in one_a_head.axes if ax.get_xlabel()]
    assert words == 3 * ["feature"] + 2 * ["token looked at"] + ["feature"]
    assert [ax.get_xlabel() for ax in merged.axes[:2]] == 2 * ["feature"]
    for figure in (one_a_head, merged):
        matplotlib.pyplot.close(figure)


def test_products_have_variance_d_and_only_the_scaled_softmax_keeps_its_slope():
    measured = scale.saturation(widths=(4, 256), tokens=20, queries=300)
    np.testing.assert_allclose(measured.variance, [4, 256], rtol=0.1)
    assert measured.largest_plain[1] > 0.8 > 0.4 > measured.largest[1]
    assert measured.slope_plain[1] < 0.4 < 0.8 < measured.slope[1]


# Tokens

def test_token_influence_is_the_size_of_the_jacobian_block(model, x):
    """Against central differences, with the D directions of an output token in place of random ones."""
    params = model.params["blocks"][0]["attn"]
    measured = token_influence.token_influence(attention, x, params, 2, directions=1500)
    step, blocks = 1e-5, np.zeros((7, 7))
    for j in range(7):
        for c in range(16):
            push = np.zeros_like(x)
            push[0, j, c] = step
            difference = attention.forward(x + push, params, 2)[0] - attention.forward(x - push, params, 2)[0]
            blocks[:, j] += np.square(difference[0] / (2 * step)).sum(axis=-1)
    np.testing.assert_allclose(measured, np.sqrt(blocks), rtol=0.1)     # 1500 random directions are good to some 4 %


def test_only_attention_reaches_other_tokens(model, x):
    block = model.params["blocks"][0]
    off = ~np.eye(7, dtype=bool)
    assert np.all(token_influence.token_influence(attention, x, block["attn"], 2)[off] > 0)
    assert np.all(token_influence.token_influence(layer, x, block, 2)[off] > 0)
    for section, params in ((mlp, block["mlp"]), (layer_norm, block["norm1"])):
        influence = token_influence.token_influence(section, x, params)
        assert np.count_nonzero(influence[off]) == 0 and np.all(np.diag(influence) > 0)


def test_the_numbers_of_a_narrow_range_stand_apart():
    """A range in which no power of ten lies: its ends are told, and no two numbers overlap."""
    influence = np.diag([12.3, 20.0, 27.1]) + 0.0
    figure = token_influence.token_influence_figure({"one": influence, "two": influence, "three": influence})
    figure.canvas.draw()
    for bar in figure.axes[3:]:
        labels = [label for label in bar.get_xticklabels(which="both") if label.get_text()]
        assert labels[0].get_text() == "12" and labels[-1].get_text() == "27"
        extents = [label.get_window_extent() for label in labels]
        assert all(left.x1 < right.x0 for left, right in pairwise(extents))
    plt.close(figure)


def test_change_by_token_pushes_one_token_by_the_given_length(x):
    moved = token_influence.change_by_token(lambda z: z, x, 4, size=0.3)
    np.testing.assert_allclose(moved, [0, 0, 0, 0, 0.3, 0, 0], atol=1e-12)


# MLP

def test_pre_activations_become_the_hidden_units(model, prediction):
    expanded = activation_curves.pre_activations(prediction.trace, model, 1)
    hidden, _ = minivit.gelu.forward(expanded, with_cache=False)
    np.testing.assert_array_equal(hidden, prediction.trace["layer.1.hidden"])


def test_parameter_shares_of_b16():
    """The counts that follow from the paper's table 1 (B/16 with 1000 classes)."""
    shares = parameter_shares.parameter_shares(minivit.init("B/16", num_layers=1).params)
    assert shares == {"patch embedding": 590_592, "[CLS] and positions": 768 + 151_296, "attention": 2_362_368,
                      "MLP": 4_722_432, "LayerNorms": 3_072 + 1_536, "head": 769_000}


def test_parameter_shares_know_every_tensor(model):
    assert sum(parameter_shares.parameter_shares(model.params).values()) == minivit.parameter_count(CONFIG)
    with pytest.raises(ValueError, match="weight belongs to none of the sections"):
        parameter_shares.parameter_shares({**model.params, "extra": {"weight": np.zeros(3)}})


def test_most_active_patches_leave_cls_out():
    hidden = np.zeros((2, 7, 3))
    hidden[0, 0, 1] = 9                                                 # [CLS]
    hidden[1, 1 + 4, 1], hidden[0, 1 + 2, 1] = 5, 3                     # patches 4 and 2 of a 2 x 3 grid
    assert hidden_units.most_active(hidden, 1, 2, (2, 3)) == [(1, 1, 1, 5.0), (0, 0, 2, 3.0)]


def test_surroundings_hold_the_patch_in_the_middle_and_grey_beyond_the_edge():
    images = np.random.default_rng(0).integers(0, 100, (2, 8, 12, 3)).astype(np.uint8)
    around = hidden_units.surroundings(images, 1, 1, 2, 4)              # the last patch of the last row
    np.testing.assert_array_equal(around[:8, :8], images[1, :, 4:])
    assert around.shape == (12, 12, 3) and (around[8:] == 128).all() and (around[:, 8:] == 128).all()


# Layers

def test_norms_and_similarities_against_loops(prediction):
    trace, depths = prediction.trace, residual_stream.stream(prediction.trace)
    lengths = residual_stream.norms(trace, slice(1, None))
    assert [len(lengths[name]) for name in ("stream", "attention", "MLP")] == [4, 3, 3]
    each = [np.sqrt(sum(v * v for v in trace["layer.1.mlp"][b, t])) for b in range(4) for t in range(1, 7)]
    assert lengths["MLP"][1] == pytest.approx(np.mean(each))

    def cosine(a, b):
        return a @ b / np.sqrt((a @ a) * (b @ b))

    between = [cosine(depths[1][b, t], depths[3][b, t]) for b in range(4) for t in range(7)]
    assert residual_stream.layer_similarity(trace)[1, 3] == pytest.approx(np.mean(between))
    pairs = [cosine(depths[2][b, s], depths[2][b, t]) for b in range(4) for s in range(7) for t in range(7) if s != t]
    assert residual_stream.token_similarity(depths[2]) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_lens_at_the_last_layer_is_the_model(pool):
    other = minivit.init(CONFIG, pool=pool, seed=3, dtype="float64")
    answered = minivit.forward(np.random.default_rng(0).random((4, 8, 12, 3)), other)
    lens = logit_lens.logit_lens(other, answered.trace)
    np.testing.assert_allclose(lens[-1], answered.probabilities, atol=1e-12)
    shorter = minivit.VisionTransformer(minivit.variants.as_config(CONFIG, pool=pool, num_layers=1),
                                        {**other.params, "blocks": other.params["blocks"][:1]})
    np.testing.assert_allclose(lens[1], minivit.softmax.forward(shorter(answered.x))[0], atol=1e-12)


def test_contributions_sum_to_the_logits(model, prediction):
    contributions = logit_contributions.logit_contributions(model, prediction.trace)
    assert list(contributions)[:3] == ["embedding", "attention 0", "MLP 0"] and len(contributions) == 8
    np.testing.assert_allclose(sum(contributions.values()), prediction.logits, atol=1e-12)
    averaging = minivit.init(CONFIG, pool="mean", dtype="float64")
    with pytest.raises(ValueError, match='expected a model with pool="cls", found \'mean\''):
        logit_contributions.logit_contributions(averaging, prediction.trace)


def test_the_gradient_through_the_layers_is_that_of_the_package(model, prediction):
    tokens, dy = prediction.trace["embedded"], np.random.default_rng(4).standard_normal((4, 7, 16))
    blocks = model.params["blocks"]
    depths = residual_path.through_layers(tokens, dy, blocks, 2)
    z, caches, dz = tokens, [], dy
    for block in blocks:
        z, cache = layer.forward(z, block, 2)
        caches.append(cache)
    for i in reversed(range(3)):
        dz, _ = layer.backward(dz, caches[i])
        assert depths.gradient[i] == pytest.approx(np.linalg.norm(dz))
    assert depths.similarity[-1] == pytest.approx(residual_stream.token_similarity(z))
    cosines = (dz * dy).sum(axis=-1) / np.sqrt((dz * dz).sum(axis=-1) * (dy * dy).sum(axis=-1))       # (B, T)
    assert depths.direction[[0, -1]] == pytest.approx([cosines.mean(), 1])
    without = residual_path.through_layers(tokens, dy, blocks, 2, residual=False)
    assert without.gradient[-1] == depths.gradient[-1] and without.gradient[0] != pytest.approx(depths.gradient[0])


# Head

def test_answer_is_softmax_and_the_slope_of_the_loss():
    logits, step = np.array([1.0, -2.0, 0.5]), 1e-6

    def cross_entropy(s):
        return -np.log(np.exp(s[2]) / np.exp(s).sum())

    probabilities, gradient = answer.answer(logits, 2)
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(), rtol=1e-12)
    numeric = [(cross_entropy(logits + step * e) - cross_entropy(logits - step * e)) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(gradient, numeric, atol=1e-8)


def test_temperature_one_is_the_model_and_heat_ends_in_ignorance(prediction):
    labels = np.array([0, 1, 2, 3])
    losses, sure = temperature.temperature_curve(prediction.logits, labels, [1.0, 1e9])
    by_hand = -np.log(prediction.probabilities[np.arange(4), labels]).mean()
    assert losses == pytest.approx([by_hand, np.log(5)])
    assert sure == pytest.approx([prediction.probabilities.max(axis=1).mean(), 1 / 5])


def test_class_cosines_ignore_what_all_classes_share(model):
    cosines = class_directions.class_cosines(model.params)
    np.testing.assert_allclose(np.diag(cosines), 1)
    head = model.params["head"]
    shifted = {**model.params, "head": {**head, "weight": head["weight"] + np.arange(16.0)[:, None]}}
    np.testing.assert_allclose(class_directions.class_cosines(shifted), cosines, atol=1e-9)
    three = model.params["norm"]["weight"] * (head["weight"][:, 3] - head["weight"].mean(axis=1))
    four = model.params["norm"]["weight"] * (head["weight"][:, 4] - head["weight"].mean(axis=1))
    assert cosines[3, 4] == pytest.approx(three @ four / np.sqrt((three @ three) * (four @ four)))


# Figures

def test_figures_name_what_they_show(model, prediction):
    picture, trace = np.zeros((8, 12, 3)), prediction.trace
    lens, names = logit_lens.logit_lens(model, trace), list("abcde")
    truths = np.array([0, 1, 2, 3])
    stack = residual_path.through_layers(trace["embedded"], trace["layer.2.output"], model.params["blocks"], 2)
    steps = matrices.attention_steps(trace, 0)
    expected = {
        "head 1, [CLS]": maps.attention_maps_figure(picture, prediction.attention[0][0], (2, 3), [0, 4]),
        "attention A": matrices.attention_matrices_figure(steps),
        "attended = merged": matrices.merged_heads_figure(steps),
        "variance of q · k": scale.saturation_figure(scale.saturation((1, 4), 5, 9)),
        "all": token_influence.token_influence_figure({"all": np.eye(7)}),
        "one: 1 of 7 move": token_influence.change_by_token_figure({"one": np.eye(7)[2]}, 2),
        "its slope dy/dx": activation_curves.gelu_figure(),
        "where the hidden units stand": activation_curves.pre_activations_figure([trace["layer.0.hidden"]]),
        "small: ": parameter_shares.parameter_shares_figure({"small": parameter_shares.parameter_shares(model.params)}),
        "patches": residual_stream.norms_figure({"patches": residual_stream.norms(trace)}),
        "tokens": residual_stream.layer_similarity_figure({"tokens": residual_stream.layer_similarity(trace)}),
        "taken for": logit_lens.logit_lens_figure(model, prediction.x, lens, (lens[-1].argmax(axis=1) + 1) % 5),
        "logit lens on 4 test images": logit_lens.lens_accuracy_figure(lens, truths),
        "who speaks for b": logit_contributions.logit_contributions_figure(
            logit_contributions.logit_contributions(model, trace), 1, 2, names),
        "backward: how large?": residual_path.residual_path_figure({"sums": [stack, stack]}, {"sums": [stack]}),
        "gradient, if c is wanted": answer.answer_figure(prediction.logits[0], 2, names),
        "one image at three": temperature.temperature_figure(prediction.logits, truths, [0.5, 1, 2], names),
        "pair by pair": class_directions.class_cosines_figure(class_directions.class_cosines(model.params), names),
    }
    for title, figure in expected.items():
        assert any(title in ax.get_title() for ax in figure.axes), f"no panel is called {title!r}"
        matplotlib.pyplot.close(figure)


def test_the_fitted_temperature_is_marked(prediction):
    truths = np.array([0, 1, 2, 3])
    without = temperature.temperature_figure(prediction.logits, truths, [0.5, 1, 2], list("abcde"))
    figure = temperature.temperature_figure(prediction.logits, truths, [0.5, 1, 2], list("abcde"), fitted=0.75)
    marked = [line for line in figure.axes[1].lines if "fitted" in str(line.get_label())]
    assert [list(line.get_xdata()) for line in marked] == [[0.75, 0.75]]
    assert len(without.axes[1].lines) + 1 == len(figure.axes[1].lines)
    for drawn in (without, figure):
        matplotlib.pyplot.close(drawn)


def test_hidden_units_figure_has_a_row_a_unit(prediction):
    images = np.zeros((4, 8, 12, 3), np.uint8)
    figure = hidden_units.hidden_units_figure(prediction.trace["layer.0.hidden"], images, [0, 5], 4, count=3)
    assert [ax.get_ylabel() for ax in figure.axes] == ["unit 0", "", "", "unit 5", "", ""]
    matplotlib.pyplot.close(figure)
