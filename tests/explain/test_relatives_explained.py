"""What is shown of the relatives: right for each family, or refused in one line."""

from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from peaked import SMALL, images, peaked_model, relative_error
from test_relatives import FAMILIES

import minivit
from minivit import tracing
from minivit.explain import relatives
from minivit.explain.answers.class_directions import class_cosines
from minivit.explain.answers.prediction_figure import cls_attention, prediction_figure
from minivit.explain.attention import class_rollout, distance, maps, mean_maps, sliders
from minivit.explain.costs import attention_cost, call_sheet, counts, parameter_shares, training_memory
from minivit.explain.costs.variants import variants_figure
from minivit.explain.gradients.gradient_flow import gradients_by_layer
from minivit.explain.layers import (
    architecture,
    logit_contributions,
    logit_lens,
    network_drawing,
    residual_path,
    residual_stream,
    shapes,
    token_journey,
)
from minivit.explain.patches import receptive_field, sequence
from minivit.explain.tokens.read_out import read_outs
from minivit.prediction import Prediction
from minivit.trees import flatten
from minivit.variants import RELATIVES

matplotlib.use("Agg")
family = pytest.mark.parametrize("config", FAMILIES.values(), ids=FAMILIES)
REGISTERS, MAP, DISTILLED = (FAMILIES[name] for name in ("registers", "attention pooling", "distilled"))


def predicted(config, B=2):
    model = peaked_model(config)
    x = images(config, B=B)
    return Prediction(model, x, model(x), is_batch=True)


@family
def test_attention_has_a_map_a_layer_and_no_other(config):
    p = predicted(config)
    assert len(p.attention) == config.num_layers
    assert all(a.shape == (2, config.num_heads, config.num_tokens, config.num_tokens) for a in p.attention)
    assert all(np.array_equal(a, b) for a, b in zip(p.attention, tracing.attention_maps(p.model, p.x)))


@family
def test_maps_are_of_the_patches(config):
    p = predicted(config)
    before = relatives.tokens_before(config)
    assert len(before) == config.num_prefix
    a = p.attention[1]
    found = maps.attention_map(a, config.num_prefix, config.grid, before)
    assert np.array_equal(found.reshape(2, config.num_heads, -1), a[:, :, config.num_prefix, config.num_prefix:])
    among = distance.among_patches(a, config.grid, before)
    assert among.shape[-2:] == (config.num_patches,) * 2 and np.allclose(among.sum(axis=-1), 1)
    one = [layer[0] for layer in p.attention]
    for query in (0, config.num_prefix):
        assert np.allclose(mean_maps.mean_maps(one, config.grid, query, before)[2].ravel(),
                           a_mean(one[2])[query, config.num_prefix:])


def a_mean(heads):
    return sum(heads) / len(heads)


def test_other_tokens_must_be_named():
    p = predicted(REGISTERS)
    with pytest.raises(ValueError, match=r"makes 20 or, with .CLS., 21 tokens; the attention is between 24; .*before="):
        maps.attention_map(p.attention[0], 0, REGISTERS.grid)
    with pytest.raises(ValueError, match=r"with 1 before them 21 tokens; the attention is between 24$"):
        maps.attention_map(p.attention[0], 0, REGISTERS.grid, ("[CLS]",))
    figure = maps.attention_maps_figure(np.zeros((16, 20, 3)), p.attention[0][0], REGISTERS.grid, [0, 2, 5],
                                        before=relatives.tokens_before(REGISTERS))
    titles = [ax.get_title() for ax in figure.axes]
    assert {"from [CLS]", "from register 1", "from row 0, column 1"} <= set(titles)
    outside = p.attention[0][0, 1, 0, :4].sum()
    assert f"head 1, before {outside:.2f}" in titles
    plt.close(figure)


@pytest.mark.parametrize("pool_prefix", [False, True])
def test_the_figure_of_attention_pooling_shows_its_query(pool_prefix):
    config = replace(MAP, class_token=pool_prefix, pool_prefix=pool_prefix)
    p = predicted(config)
    pooling = p.trace["pool.attention"][0].mean(axis=(0, 1))[-config.num_patches:]
    assert np.array_equal(cls_attention(p[0]).ravel(), pooling)
    figure = prediction_figure(p[0])
    assert any("attention of the pooling\nlearned query" in ax.get_title() for ax in figure.axes)
    plt.close(figure)


@family
def test_the_gradient_of_each_weight_equals_finite_differences(config):
    """A weight is pushed in the trace: its rows need not sum to one."""
    model, x, classes, h = peaked_model(config), images(config, B=1), np.array([2]), 1e-5
    pairs = class_rollout.attention_gradients(model, x, classes)
    steps = tracing.trace(model, x)
    rng = np.random.default_rng(0)

    def logit(name, a):
        return dict(tracing.steps(model, x, given={name: a}))["logits"][0, 2]

    for i, (_, da) in enumerate(pairs):
        a, name = steps[f"layer.{i}.attention"], f"layer.{i}.attention"
        direction = rng.standard_normal(a.shape)
        slope = (logit(name, a + h * direction) - logit(name, a - h * direction)) / (2 * h)
        assert float((da * direction).sum()) == pytest.approx(slope, rel=1e-6)
    assert class_rollout.class_rollout(model, x, classes).shape == (1, config.num_tokens, config.num_tokens)


@family
def test_the_stream_is_what_is_added_to_it(config):
    trace = predicted(config).trace
    stream = residual_stream.stream(trace)
    attended, thought = residual_stream.added(trace, "attended"), residual_stream.added(trace, "mlp")
    for i in range(config.num_layers):
        assert relative_error(stream[i] + attended[i] + thought[i], stream[i + 1]) <= 1e-13
    assert np.array_equal(token_journey.residual_stream(trace, config.num_layers),
                          np.stack([z[0] - z[0].mean(axis=0) for z in stream]))


@family
def test_the_lens_ends_at_the_models_answer(config):
    p = predicted(config)
    assert relative_error(logit_lens.logit_lens(p.model, p.trace)[-1], p.probabilities) <= 1e-12
    with pytest.raises(ValueError, match="without a head"):
        logit_lens.logit_lens(peaked_model(replace(config, num_classes=0)), p.trace)


@family
def test_contributions_add_up_to_the_logits_or_are_refused(config):
    p = predicted(config)
    if config.pool != "cls":
        with pytest.raises(ValueError, match="expected a model with pool=\"cls\", found"):
            logit_contributions.logit_contributions(p.model, p.trace)
        return
    assert relative_error(sum(logit_contributions.logit_contributions(p.model, p.trace).values()), p.logits) <= 1e-12
    with pytest.raises(ValueError, match="no logits to split"):
        logit_contributions.logit_contributions(peaked_model(replace(config, num_classes=0)), p.trace)


@family
def test_the_reach_of_a_patch_is_the_gradient_of_its_token(config):
    model, x, patch, h = peaked_model(config), images(config, B=1), 7, 1e-5
    found = receptive_field.vit_gradient(model, x, patch, depth=2)
    signs = np.random.default_rng(1).choice([-1.0, 1.0], config.width)

    def value(x):
        return dict(tracing.steps(model, x))["layer.1.output"][0, config.num_prefix + patch] @ signs

    slopes = []
    for c in range(3):
        push = np.zeros_like(x)
        push[0, 3, 5, c] = h
        slopes.append((value(x + push) - value(x - push)) / (2 * h))
    assert found[3, 5] == pytest.approx(np.linalg.norm(slopes), rel=1e-6)


@pytest.mark.parametrize("config", [*FAMILIES.values(), *RELATIVES.values()], ids=[*FAMILIES, *RELATIVES])
def test_cost_terms_add_up_to_the_counts(config):
    parameters, work = np.sum(list(counts.cost_terms(config).values()), axis=0)
    assert parameters == minivit.parameter_count(config) and work == minivit.macs(config)


@family
def test_multiply_adds_are_those_of_the_products(config):
    """All that the trace's network computes, in which the last layer computes every token.

    Not counted there: the latent's query, which no pixel enters, and two heads, whose tokens are copied first.
    """
    model, x = peaked_model(config), images(config, B=1)
    counted = counts.counted_macs(lambda x: tracing.trace(model, x), x)
    D, K = config.width, config.num_classes
    assert counted + {"map": D * D, "distilled": 2 * D * K}.get(config.pool, 0) == minivit.macs(config)


@family
def test_parameter_shares_know_every_tensor(config):
    model = peaked_model(config)
    shares = parameter_shares.parameter_shares(model.params)
    assert sum(shares.values()) == minivit.parameter_count(config)
    terms = counts.cost_terms(config)
    assert shares["MLP"] == terms["MLP"][0]
    assert shares.get("attention pooling", 0) == terms.get("attention pooling", (0,))[0]


def test_the_costs_of_swiglu_and_of_more_tokens():
    config = FAMILIES["SwiGLU"]
    side = attention_cost.crossing_side(replace(REGISTERS, gated_mlp=True))
    assert attention_cost.crossing_tokens(config) == 2 * 24 + 1.5 * 40
    assert (side / 4) ** 2 + 4 == pytest.approx(2 * 24 + 1.5 * 40)
    assert attention_cost.token_macs(config) == 3 * 21 * (4 * 24 ** 2 + 3 * 24 * 40)
    figure = variants_figure({"a": minivit.VARIANTS["Ti/16"], "b": RELATIVES["SigLIP-B/16"]})
    assert "the relatives' parts" in {text.get_text() for ax in figure.axes for text in ax.get_legend().get_texts()}
    plt.close(figure)


@family
@pytest.mark.parametrize("classes", [7, 0])
def test_training_keeps_what_the_formula_counts_or_it_is_refused(config, classes):
    config = replace(config, num_classes=classes)
    if config.pool != "cls":
        with pytest.raises(ValueError, match="pool=\"cls\", found"):
            training_memory.activation_count(config)
        return
    model, x = peaked_model(config, dtype="float32"), images(config, dtype="float32")
    _, cache = minivit.vit.forward(x, model.params, config)
    assert training_memory.cached_numbers(cache) == 3 * training_memory.activation_count(config)


@family
@pytest.mark.parametrize("classes", [7, 0])
def test_letters_and_phrases_for_every_step(config, classes, capsys):
    from minivit.commands.trace import describe
    config = replace(config, num_classes=classes)
    trace = predicted(config).trace
    assert {n: shapes.expected_shape(n, config, 2) for n in trace} == {n: a.shape for n, a in trace.items()}
    assert all(describe(name, config) for name in trace)
    shapes.print_shapes(one=trace)
    _, *lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [line.split()[-trace[name].ndim:] for line, name in zip(lines, shapes.steps_of_one_layer(trace))] == \
        [[str(side) for side in trace[name].shape] for name in shapes.steps_of_one_layer(trace)]


def test_phrases_are_the_familys():
    from minivit.commands.trace import STEPS, describe
    assert describe("tokens", REGISTERS) == "[CLS], 3 registers put first"
    assert describe("tokens", DISTILLED) == "[CLS], distillation token put first"
    assert describe("tokens", MAP) == "the patches' tokens"
    assert describe("layer.1.output", REGISTERS) == "z = mlp_scaled + z', the layer's result (eq. 3)"
    assert describe("layer.1.hidden", FAMILIES["SwiGLU"]).startswith("SwiGLU")
    assert describe("pool.attention", MAP) != describe("layer.0.attention", MAP) == STEPS["attention"]
    assert {describe(name, SMALL) for name in STEPS} == set(STEPS.values())


@family
def test_what_is_drawn_of_the_plain_vit_alone_refuses_a_relative(config):
    p = predicted(config)
    drawings = [lambda: architecture.architecture_figure(one=config), lambda: network_drawing.network_figure(p[0]),
                lambda: architecture.forward_backward_figure(config)]
    further = relatives.further_parts(config)
    assert further or relatives.other_conventions(config)
    for draw in drawings:
        if further or config.pool != "cls":
            with pytest.raises(ValueError, match="the drawing shows ") as error:
                draw()
            assert "\n" not in str(error.value) and all(part in str(error.value) for part in further)
        else:
            plt.close(draw())


def test_what_looks_into_plain_layers_refuses_others():
    for name, words in (("LayerScale", "layer 0 has LayerScale"), ("SwiGLU", "LayerScale and SwiGLU")):
        model = peaked_model(FAMILIES[name])
        z = np.zeros((1, 21, 24))
        with pytest.raises(ValueError, match=words):
            gradients_by_layer(z, model.params["blocks"], 3, z)
        with pytest.raises(ValueError, match=words):
            residual_path.through_layers(z, z, model.params["blocks"], 3)
    for config, words in ((MAP, "attention pooling"), (DISTILLED, "two heads")):
        with pytest.raises(ValueError, match=words):
            class_cosines(peaked_model(config).params)
    with pytest.raises(ValueError, match=r"no .CLS. token"):
        read_outs(predicted(MAP))


def test_a_sheet_of_calls_is_of_a_plain_layer():
    calls = [("add", "minivit.layer"), ("multiply", "minivit.layer_scale")]
    with pytest.raises(ValueError, match="there are calls of layer_scale"):
        call_sheet.call_sheet_figure(calls)


def test_sliders_draw_a_relatives_patch(monkeypatch):
    ipywidgets, shown = pytest.importorskip("ipywidgets"), []
    monkeypatch.setattr(ipywidgets, "interact", lambda draw, **sliders: draw)
    monkeypatch.setattr("minivit.explain.attention.sliders.plt.show", lambda: shown.append(plt.gcf()))
    p = predicted(REGISTERS)[0]
    sliders.explore_attention(p)(layer=1, row=2, column=3)
    rows = np.array([ax.images[0].get_array() for ax in shown[0].axes if ax.get_title().startswith("head")])
    assert np.array_equal(rows.reshape(2, 3, 4, 5)[1], p.attention[1][:, 4 + 2 * 5 + 3, 4:].reshape(3, 4, 5))
    plt.close("all")


def test_a_sequence_names_what_stands_first():
    figure = sequence.sequence_figure(predicted(replace(REGISTERS, registers=1))[0])
    assert any("after [CLS], register 0 (the orange tokens)" in ax.get_title() for ax in figure.axes)
    plt.close(figure)


def test_screens_tell_what_a_relative_has():
    shown = minivit.explain.screens.model_screen(peaked_model(REGISTERS)).as_text()
    assert "beside the plain ViT" in shown and "3 registers, LayerScale, positions for the patches alone" in shown
    assert "beside" not in minivit.explain.screens.model_screen(peaked_model()).as_text()
    shown = repr(predicted(MAP).trace)
    assert "pool.attention" in shown and "2 x 3 x 1 x 20" in shown


@family
def test_the_explorer_refuses_a_relative(config, tmp_path):
    from minivit.explorer import page_files, serving
    p = predicted(config)
    for show in (lambda: serving.explore(p[0], browser=False), lambda: serving.serve(p.model, browser=False),
                 lambda: page_files.write_page(tmp_path / "page", p.model)):
        with pytest.raises(ValueError, match="the explorer computes the plain ViT alone, and this model has ") as error:
            show()
        assert "\n" not in str(error.value)
    assert not (tmp_path / "page").exists()


@family
def test_rows_of_many_images(config, tmp_path):
    from PIL import Image
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    model = peaked_model(config)
    for row in minivit.embed(tmp_path, model, top=3, attention=True):
        assert row.error is None
        p = minivit.forward(row.path, model)
        np.testing.assert_allclose([q for _, q in row.top], [q for _, q in p.top(3)], rtol=1e-10)
        y = p.trace["representation"]
        y = y.mean(axis=1) if config.pool == "distilled" else y
        np.testing.assert_allclose(row.representation, y[0], rtol=1e-5, atol=1e-6)
        assert len(row.distance) == config.num_layers and np.isfinite(row.distance).all()


def test_every_parameter_of_a_relative_is_in_one_share_only():
    model = peaked_model(MAP)
    names = [name for name in flatten(model.params) if name.startswith("attn_pool.")]
    assert sum(flatten(model.params)[name].size for name in names) == \
        parameter_shares.parameter_shares(model.params)["attention pooling"]
