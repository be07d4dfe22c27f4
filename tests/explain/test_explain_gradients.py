"""The measurements behind the figures of 09_forward and 10_backward: against counts, formulas, finite differences."""

import numpy as np
import pytest

import minivit
from minivit import softmax
from minivit.explain.costs.counts import Counted, cost_figure, cost_terms, counted_macs
from minivit.explain.gradients.check_figure import check_figure
from minivit.explain.gradients.faulty_layers import FAULTS, faulty_layer
from minivit.explain.gradients.finite_differences import five_point, slope_errors, three_point
from minivit.explain.gradients.gradient_flow import (
    cosine,
    gradient_flow_figure,
    gradients_by_layer,
    sizes_and_cosines,
)
from minivit.explain.gradients.saliency import saliency
from minivit.explain.gradients.softmax_jacobian import softmax_jacobian
from minivit.explain.layers.architecture import architecture_figure, forward_backward_figure
from minivit.explain.layers.precision import relative_error
from minivit.explain.layers.token_journey import residual_stream, similarities, token_journey_figure

SMALL = minivit.ViTConfig(4, 16, 2, 32, 2, 5, (8, 12))


@pytest.fixture
def model():
    return minivit.init(SMALL, seed=0, dtype="float64")


@pytest.fixture
def x():
    return np.random.default_rng(1).standard_normal((2, 8, 12, 3))


@pytest.mark.parametrize("config", [SMALL, minivit.VARIANTS["B/16"], minivit.VARIANTS["H/14"],
                                    minivit.ViTConfig(num_classes=0, position="none", pool="mean", class_token=False)])
def test_cost_terms_add_up_to_the_counts(config):
    parameters, work = np.sum(list(cost_terms(config).values()), axis=0)
    assert parameters == minivit.parameter_count(config)
    assert work == minivit.macs(config)


@pytest.mark.parametrize("keep", [True, False])
def test_counted_macs_are_those_of_the_formula(model, x, keep):
    """All tokens of all layers; a forward pass leaves out what the last layer would do for the patches, keys and values
    apart."""
    def run(x):
        return minivit.vit.forward(x, model.params, SMALL, keep)
    assert counted_macs(lambda x: minivit.tracing.trace(model, x), x) == 2 * minivit.macs(SMALL)
    T, D, M = SMALL.num_tokens, SMALL.width, SMALL.mlp_width
    assert counted_macs(run, x) == 2 * (minivit.macs(SMALL) - (T - 1) * (D * D + 2 * D * M + 2 * T * D))


def test_counting_changes_no_number(model, x):
    counted, _ = minivit.vit.forward(x.view(Counted), model.params, SMALL)
    np.testing.assert_array_equal(np.asarray(counted), minivit.vit.forward(x, model.params, SMALL)[0])


def test_difference_rules_have_their_orders():
    # On x⁵ + x³ + 2x the three-point rule errs by h² + h⁴ and the five-point rule by 4h⁴, by Taylor's theorem.
    def f(h):
        return h ** 5 + h ** 3 + 2 * h
    assert three_point(f, 0.1) - 2 == pytest.approx(0.1 ** 2 + 0.1 ** 4, rel=1e-9)
    assert five_point(f, 0.1) - 2 == pytest.approx(-4 * 0.1 ** 4, rel=1e-9)
    assert slope_errors(f, 2.0, [0.1], three_point)[0] == pytest.approx(0.0101 / 2)


def test_softmax_jacobian_is_the_derivative():
    scores = np.random.default_rng(0).standard_normal(6)
    jacobian = softmax_jacobian(softmax.forward(scores)[0])
    for i in range(6):
        for j in range(6):
            slope = five_point(lambda h, i=i, j=j: softmax.forward(scores + h * np.eye(6)[i])[0][j], 1e-3)
            assert jacobian[i, j] == pytest.approx(slope, abs=1e-11)


def test_saliency_is_the_derivative_of_one_score(model, x):
    direction = np.random.default_rng(2).standard_normal(x.shape)
    slope = five_point(lambda h: model(x + h * direction)[:, 3].sum(), 1e-3)
    assert (saliency(model, x, 3) * direction).sum() == pytest.approx(slope, rel=1e-8)


def test_similarity_and_cosine():
    tokens = np.array([[3.0, 4.0], [6.0, 8.0], [-4.0, 3.0]])
    np.testing.assert_allclose(similarities(tokens, 0), [1, 1, 0], atol=1e-15)
    assert cosine(tokens[:2], -2 * tokens[:2]) == pytest.approx(-1)
    assert relative_error([3.0, 4.5], [3.0, 4.0]) == pytest.approx(0.1)


def test_residual_stream_is_the_trace_less_what_all_tokens_share(model, x):
    steps = minivit.tracing.trace(model, x)
    stream = residual_stream(steps, SMALL.num_layers)
    assert stream.shape == (3, 7, 16)
    np.testing.assert_allclose(stream.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(stream[2, 1] - stream[2, 4],
                               steps["layer.1.output"][0, 1] - steps["layer.1.output"][0, 4], atol=1e-12)


def test_figures_name_every_step():
    def words(figure):
        return {text.get_text() for ax in figure.axes for text in ax.texts}
    shown = words(architecture_figure(packaged=SMALL))
    assert {"patch_embedding", "query, key, value", "residual1", "probabilities", "2 × 7 × 8", "7 × 32"} <= shown
    shown = words(forward_backward_figure(SMALL))
    assert {f"{section}.{way}" for section in ("patch_embedding", "cls_token", "head", "loss")
            for way in ("forward", "backward")} <= shown
    ax = cost_figure(small=SMALL).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(cost_terms(SMALL))


def test_each_residual_leaves_where_the_code_reads_it_and_enters_its_own_sum():
    """z' = z + MSA(LN(z)) leaves above norm1; z = z' + MLP(LN(z')) leaves below residual1, not above it."""
    ax = architecture_figure(packaged=SMALL).axes[1]
    places = {text.get_text(): text.get_position()[1] for text in ax.texts}
    first, second = (next(line.get_ydata() for line in ax.lines if line.get_gid() == f"residual, equation {n}")
                     for n in (2, 3))
    sums = places["residual1"], places["output"]
    assert first[0] > places["norm1"] and abs(first[-1] - sums[0]) < 0.3
    assert places["norm2"] < second[0] < places["residual1"] - 0.3 and abs(second[-1] - sums[1]) < 0.3


def test_token_journey_has_a_row_per_token_and_a_frame_per_layer(model):
    prediction = minivit.forward(np.random.default_rng(0).random((8, 12, 3)), model)
    figure = token_journey_figure(prediction, [0, 2])
    titles = [ax.get_title() for ax in figure.axes]
    assert [title for title in titles if title] == ["[CLS]", "input", "layer 0", "layer 1", "token 2"]
    stream = residual_stream(prediction.trace, 2)
    frames = [ax.images[1].get_array() for ax in figure.axes if len(ax.images) == 2]
    assert len(frames) == 6
    np.testing.assert_allclose(frames[5][::4, ::4].ravel(), similarities(stream[2], 2)[1:])


@pytest.mark.parametrize("residual", [True, False])
def test_gradients_by_layer_are_those_of_differences(model, x, residual):
    """Push the tokens that leave layer 0, and see what becomes of the output of the two layers after it."""
    blocks = minivit.init(minivit.ViTConfig(4, 16, 3, 32, 2, 5, (8, 12)), seed=1, dtype="float64").params["blocks"]
    rng = np.random.default_rng(3)
    z, direction = rng.standard_normal((1, 7, 16)), rng.standard_normal((1, 7, 16))
    upstream = rng.standard_normal((2, 7, 16))

    def through(z, blocks):
        for block in blocks:
            branch, _ = minivit.attention.forward(minivit.layer_norm.forward(z, block["norm1"])[0], block["attn"], 2)
            z = branch + residual * z
            branch, _ = minivit.mlp.forward(minivit.layer_norm.forward(z, block["norm2"])[0], block["mlp"])
            z = branch + residual * z
        return z

    found = gradients_by_layer(z, blocks, 2, upstream, residual)
    assert len(found) == 3 and found[-1] is upstream
    after = through(z, blocks[:1])
    for image in range(2):
        slope = five_point(lambda h, n=image: (through(after + h * direction, blocks[1:])[0] * upstream[n]).sum(), 1e-3)
        assert (found[0][image] * direction[0]).sum() == pytest.approx(slope, rel=1e-7)
    sizes, cosines = sizes_and_cosines(found)
    assert sizes[0, 1] == pytest.approx(np.linalg.norm(found[0][1]) / np.linalg.norm(upstream[1]))
    assert cosines[0, 1] == pytest.approx(cosine(found[0][1], upstream[1])) and cosines[-1] == pytest.approx([1, 1])
    draws = np.stack([sizes, 4 * sizes]), np.stack([cosines, -cosines])
    figure = gradient_flow_figure({"with": draws}, ["one", "two"])
    assert [ax.get_title() for ax in figure.axes] == ["one", "two", "", ""]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), 2 * sizes[:, 1])        # geometric mean of 1 and 4
    np.testing.assert_allclose(figure.axes[2].lines[0].get_ydata(), 0 * cosines[:, 0])


def test_the_faulty_layers_are_wrong_where_their_faults_say():
    rng = np.random.default_rng(0)
    block = minivit.trees.tree_map(lambda a: rng.standard_normal(a.shape), minivit.init(SMALL).params["blocks"][0])
    wrong = {}
    for fault in FAULTS:
        check = minivit.gradient_check(faulty_layer(fault), rng.standard_normal((3, 7, 16)), block, num_heads=2)
        wrong[fault] = {row.name.rsplit(".", 1)[0] for row in check.rows if not row.passed}
    assert wrong == {"A": {"attn.proj", "attn.qkv", "norm1", "x"}, "B": {"attn.proj", "attn.qkv", "norm1", "x"},
                     "C": {"x"}}
    ax = check_figure(check).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_xdata(), np.maximum([row.error for row in check.rows], 1e-16))
    assert [label.get_text() for label in ax.get_yticklabels()] == [row.name for row in check.rows]
