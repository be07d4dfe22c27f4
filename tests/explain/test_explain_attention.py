"""Rollout, attention distance, spread, occlusion and cost: against hand computations, plain loops and known cases."""

import itertools
import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import minivit
from minivit import attention
from minivit.engine import tiles
from minivit.explain.answers import occlusion
from minivit.explain.attention import distance, spread
from minivit.explain.attention.by_layer import attention_by_layer_figure
from minivit.explain.attention.maps import attention_maps_figure
from minivit.explain.attention.rollout import rollout, rollout_figure, rollout_filmstrip
from minivit.explain.attention.sliders import explore_attention
from minivit.explain.costs import attention_cost, measuring
from minivit.explain.costs.counts import cost_terms
from minivit.loss import log_softmax
from minivit.patch_embedding import patchify
from minivit.variants import as_config

matplotlib.use("Agg")


def random_attention(*shape, seed=0):
    """Rows that sum to one, far from uniform."""
    a = np.exp(2 * np.random.default_rng(seed).standard_normal(shape))
    return a / a.sum(axis=-1, keepdims=True)


# Rollout

def test_rollout_of_identity_attention_is_the_identity():
    maps = np.broadcast_to(np.eye(5), (3, 5, 5))
    assert np.array_equal(rollout([maps] * 4), np.eye(5))


def test_rollout_of_two_layers_by_hand():
    first = np.array([[[0.5, 0.5], [0.0, 1.0]]])                        # with I, rescaled: [[3/4, 1/4], [0, 1]]
    second = np.array([[[0.0, 1.0], [0.5, 0.5]]])                       # with I, rescaled: [[1/2, 1/2], [1/4, 3/4]]
    expected = np.array([[3 / 8, 5 / 8], [3 / 16, 13 / 16]])            # second @ first, not first @ second
    assert np.allclose(rollout([first, second]), expected, rtol=0, atol=1e-15)


def test_rollout_averages_the_heads():
    heads = np.stack([np.eye(2), np.eye(2)[::-1]])                      # mean: 1/2 everywhere
    assert np.allclose(rollout([heads]), [[0.75, 0.25], [0.25, 0.75]], rtol=0, atol=1e-15)


def test_rollout_equals_plain_loops_for_a_batch():
    B, H, T, L = 2, 3, 7, 4
    layers = [random_attention(B, H, T, T, seed=i) for i in range(L)]
    found = rollout(layers)
    for b in range(B):
        # Paths: what reaches token i in the end came from token k of the layer before, for every k.
        flow = [[float(i == j) for j in range(T)] for i in range(T)]
        for maps in layers:
            mean = [[sum(maps[b, h, i, j] for h in range(H)) / H + (i == j) for j in range(T)] for i in range(T)]
            mean = [[value / sum(row) for value in row] for row in mean]
            flow = [[sum(mean[i][k] * flow[k][j] for k in range(T)) for j in range(T)] for i in range(T)]
        assert np.allclose(found[b], flow, rtol=0, atol=1e-14)
    assert np.allclose(found.sum(axis=-1), 1, rtol=0, atol=1e-14)


def test_rollout_keeps_float32_and_changes_nothing():
    maps = random_attention(2, 4, 4).astype(np.float32)
    before = maps.copy()
    assert rollout([maps, maps]).dtype == np.float32
    assert np.array_equal(maps, before)


def test_rollout_without_layers_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        rollout([])


# Attention distance

def test_patch_distances_of_a_small_grid_by_hand():
    d = distance.patch_distances((2, 3), 10)
    assert d.shape == (6, 6)
    assert d[0].tolist() == pytest.approx([0, 10, 20, 10, 10 * math.sqrt(2), 10 * math.sqrt(5)])
    assert np.array_equal(d, d.T)


def test_identity_attention_looks_nowhere_else():
    maps = np.broadcast_to(np.eye(13), (2, 3, 13, 13))
    assert np.array_equal(distance.mean_attention_distance([maps], (3, 4), 4), np.zeros((1, 3)))


def test_attention_to_one_neighbour_is_one_patch_away():
    right = np.zeros((1, 4, 4))
    right[0, [0, 1, 2, 3], [1, 0, 3, 2]] = 1                            # 2 × 2 patches, each looks at its row's other
    assert distance.mean_attention_distance([right], (2, 2), 16).tolist() == [[16.0]]


@pytest.mark.parametrize("grid", [(1, 5), (4, 4), (3, 7)])
def test_uniform_attention_has_the_mean_distance_of_two_patches(grid):
    N, P = grid[0] * grid[1], 4
    places = [(P * row, P * column) for row in range(grid[0]) for column in range(grid[1])]
    mean = sum(math.dist(a, b) for a in places for b in places) / N ** 2
    uniform = np.full((2, N + 1, N + 1), 1 / (N + 1))
    assert distance.mean_attention_distance([uniform], grid, P) == pytest.approx(mean, rel=1e-12)
    assert distance.uniform_distance(grid, P) == pytest.approx(mean, rel=1e-12)


def test_uniform_distance_tends_to_that_of_two_points_in_a_square():
    # (2 + √2 + 5 asinh 1) / 15, the classical mean distance of two random points in the unit square.
    known = (2 + math.sqrt(2) + 5 * math.asinh(1)) / 15
    assert distance.uniform_distance((48, 48), 1 / 48) == pytest.approx(known, rel=1e-3)


def test_distance_equals_plain_loops_over_images_heads_and_queries():
    B, H, grid, P = 3, 2, (2, 3), 5
    N = 6
    layers = [random_attention(B, H, N + 1, N + 1, seed=i) for i in range(2)]
    found = distance.mean_attention_distance(layers, grid, P)
    for layer, maps in enumerate(layers):
        for h in range(H):
            total = 0.0
            for b in range(B):
                for i in range(N):
                    weights = [maps[b, h, i + 1, j + 1] for j in range(N)]
                    for j in range(N):
                        apart = math.hypot(P * (i // 3 - j // 3), P * (i % 3 - j % 3))
                        total += weights[j] / sum(weights) * apart
            assert found[layer, h] == pytest.approx(total / (B * N), rel=1e-12)


def test_distance_does_not_depend_on_what_cls_gives_or_gets():
    maps = random_attention(1, 2, 10, 10)
    other = maps.copy()
    other[..., 0, :] = random_attention(1, 2, 10, seed=1)
    other[..., 1:, 1:] *= 0.25
    other[..., 1:, 0] = 1 - other[..., 1:, 1:].sum(axis=-1)
    found, expected = (distance.mean_attention_distance([m], (3, 3), 4) for m in (other, maps))
    assert np.allclose(found, expected, rtol=1e-13, atol=0)


def test_distance_without_a_batch_axis_and_without_cls():
    maps = random_attention(2, 9, 9)
    single = distance.mean_attention_distance([maps], (3, 3), 4)
    assert np.allclose(single, distance.mean_attention_distance([maps[None]], (3, 3), 4), rtol=1e-14, atol=0)


def test_a_grid_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match=r"4 x 4 patches makes 16 or, with \[CLS\], 17 tokens.*between 10"):
        distance.mean_attention_distance([random_attention(1, 10, 10)], (4, 4), 4)


# Spread

def test_effective_tokens_of_known_rows():
    one = np.eye(8)[None]
    two = (np.eye(8) + np.roll(np.eye(8), 1, axis=1))[None] / 2
    every = np.full((1, 8, 8), 1 / 8)
    found = spread.effective_tokens([np.stack([one, one]), np.stack([two, two]), np.stack([one, every])])
    assert found[:, 0] == pytest.approx([1, 2, 4.5], rel=1e-12)


def test_content_share_of_known_batches():
    a, b = np.eye(4)[None], np.roll(np.eye(4), 1, axis=1)[None]
    assert spread.content_share([np.stack([a, a, a])]).tolist() == [[0.0]]
    assert spread.content_share([np.stack([a, b])]) == pytest.approx(0.5)
    assert spread.content_share([np.stack([a, a, a, b])]) == pytest.approx((3 * 0.25 + 0.75) / 4)
    with pytest.raises(ValueError, match="batch"):
        spread.content_share([a[None]])


def test_query_share_of_known_maps():
    alike, each_its_own = np.full((1, 4, 4), 0.25), np.eye(4)[None]
    to_the_first = np.eye(4)[[0, 0, 0, 0]][None]
    found = spread.query_share([np.stack([alike, to_the_first]), np.stack([each_its_own, alike])])
    assert found[:, 0] == pytest.approx([0, 0.375])                     # own: ½ (3/4 + 3 · 1/4), and half of that


# Occlusion and gradient

def test_occlusion_equals_painting_by_hand(small):
    model, x, classes = small
    found = occlusion.occlusion_map(model, x, classes)
    assert found.shape == (2, 2, 3)
    for b, k in enumerate(classes):
        for row in range(2):
            for column in range(3):
                painted = x[b].copy()
                painted[4 * row:4 * row + 4, 4 * column:4 * column + 4] = x[b].reshape(-1, 3).mean(axis=0)
                before, after = (log_softmax(model(image[None]))[0, k] for image in (x[b], painted))
                assert found[b, row, column] == pytest.approx(before - after, abs=1e-12)


def test_painting_leaves_the_images_alone(small):
    model, x, _ = small
    before = x.copy()
    occlusion.painted_over(x, np.array([[0], [5]]), model.config)
    assert np.array_equal(x, before)


def test_gradient_map_equals_finite_differences(small):
    model, x, classes = small
    found = occlusion.gradient_map(model, x, classes)
    h, b, patch = 1e-6, 1, (slice(4, 8), slice(8, 12))                  # image 1, row 1, column 2
    total = 0.0
    for i in range(4):
        for j in range(4):
            for c in range(3):
                shift = np.zeros_like(x[b])
                shift[patch][i, j, c] = h
                up, down = (log_softmax(model((x[b] + s)[None]))[0, classes[b]] for s in (shift, -shift))
                total += ((up - down) / (2 * h)) ** 2
    assert found[b, 1, 2] == pytest.approx(math.sqrt(total), rel=1e-7)


def test_rank_correlation_of_known_orders():
    a = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert occlusion.rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert occlusion.rank_correlation(a, -a) == pytest.approx(-1)
    swapped = np.array([[2.0, 1.0, 4.0, 3.0, 5.0]])                     # Σd² = 4: 1 - 6 · 4 / (5 · 24)
    assert occlusion.rank_correlation(a, swapped) == pytest.approx(0.8)


# Cost

@pytest.mark.parametrize("side, percent", [(224, 4.1), (384, 11.1), (512, 18.1), (1024, 46.9)])
def test_share_of_the_pairs_in_b16(side, percent):
    assert 100 * attention_cost.pair_share(as_config("B/16", image_size=side)) == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize("name", minivit.VARIANTS)
def test_the_parts_add_up_to_the_macs(name):
    c = minivit.VARIANTS[name]
    patches, heads = c.num_patches * c.patch_size ** 2 * 3 * c.width, 1 + (c.pool == "distilled")
    pool = cost_terms(c).get("attention pooling", (0, 0))[1]
    assert patches + attention_cost.pair_macs(c) + attention_cost.token_macs(c) + pool \
        + heads * c.width * c.num_classes == minivit.macs(c)


def test_pairs_and_tokens_cost_the_same_at_the_crossing():
    assert attention_cost.crossing_tokens(minivit.VARIANTS["B/16"]) == 4608
    c = minivit.ViTConfig(patch_size=1, width=8, mlp_width=32, num_heads=2, image_size=(1, 47))         # T = 48
    assert attention_cost.crossing_tokens(c) == c.num_tokens
    assert attention_cost.pair_macs(c) == attention_cost.token_macs(c)


def test_crossing_side_holds_that_many_tokens():
    c = minivit.ViTConfig(patch_size=2, width=6, mlp_width=5, num_heads=2, image_size=8)                # 17 = 4² + 1
    assert attention_cost.crossing_side(c) == pytest.approx(8)
    assert attention_cost.pair_macs(c) == attention_cost.token_macs(c)


@pytest.mark.parametrize("side, mebibytes", [(224, 21.3), (384, 183), (512, 577), (768, 2918), (1024, 9220)])
def test_bytes_of_the_attention_matrices_of_b16(side, mebibytes):
    found = attention_cost.attention_bytes(as_config("B/16", image_size=side)) / 2 ** 20
    assert found == pytest.approx(mebibytes, rel=3e-3)


def test_exponent_of_an_exact_power():
    sizes = np.array([3, 10, 50])
    assert measuring.exponent(sizes, 7 * sizes ** 2.5) == pytest.approx(2.5, rel=1e-12)
    with pytest.raises(ValueError, match="two sizes"):
        measuring.exponent([4], [1])


def test_peak_bytes_sees_what_numpy_holds():
    def hold_two():
        a, b = np.ones(1 << 20), np.ones(1 << 20)                       # 8 MiB each
        a += b

    assert 16 << 20 <= measuring.peak_bytes(hold_two) < 17 << 20


def test_attention_takes_less_memory_than_all_heads_and_queries_at_once(monkeypatch):
    block = minivit.init("Ti/16", num_layers=1, num_classes=0, dtype="float64").params["blocks"][0]["attn"]
    x = np.random.default_rng(0).standard_normal((1, 1025, 192))
    dy = np.random.default_rng(1).standard_normal(x.shape)

    def both():
        y, cache = attention.forward(x, block, 3)
        return y, attention.backward(dy, cache)[0]

    def peaks():
        _, cache = attention.forward(x, block, 3)
        return [measuring.peak_bytes(lambda: attention.forward(x, block, 3)),
                measuring.peak_bytes(lambda: attention.backward(dy, cache))]

    in_blocks, lean = both(), peaks()
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": 3 * 1025 ** 2})
    for ours, whole in zip(in_blocks, both()):
        assert np.linalg.norm(ours - whole) <= 1e-13 * np.linalg.norm(whole)
    assert all(ours < 0.75 * whole for ours, whole in zip(lean, peaks()))


def test_painting_changes_the_named_patch_of_each_image_alone():
    x = np.arange(2 * 4 * 4 * 3, dtype=float).reshape(2, 4, 4, 3)
    config = minivit.ViTConfig(patch_size=2, width=4, num_layers=1, mlp_width=4, num_heads=1, image_size=4)
    painted = occlusion.painted_over(x, np.array([[3], [0]]), config)
    changed = np.abs(patchify(painted, 2) - patchify(x, 2)).sum(axis=-1) > 0
    assert changed.tolist() == [[False, False, False, True], [True, False, False, False]]


# Figures: what is drawn is what was measured

def drawn(axes):
    """The array of the one image that `axes` shows."""
    (image,) = axes.images
    return np.asarray(image.get_array())


@pytest.fixture
def close_figures():
    yield
    plt.close("all")


def test_the_figure_by_layer_puts_heads_in_rows_and_layers_in_columns(close_figures):
    attention_maps = [random_attention(2, 10, 10, seed=i) for i in range(3)]
    figure = attention_by_layer_figure(attention_maps, (3, 3), query=4)
    maps = [ax for ax in figure.axes if ax.images]
    assert len(maps) >= 6
    for h in range(2):
        for layer in range(3):
            assert np.array_equal(drawn(maps[3 * h + layer]), attention_maps[layer][h, 4, 1:].reshape(3, 3))


def test_the_figure_by_layer_lies_over_the_image(close_figures):
    attention_maps = [random_attention(1, 5, 5)]
    figure = attention_by_layer_figure(attention_maps, (2, 2), image=np.full((4, 4, 3), 0.25))
    photo, over = next(ax for ax in figure.axes if len(ax.images) == 2).images
    assert np.array_equal(photo.get_array(), np.full((4, 4), 0.25))
    assert np.array_equal(over.get_array()[::2, ::2], attention_maps[0][0, 0, 1:].reshape(2, 2))


@pytest.mark.parametrize("heads", [3, 4, 6, 8, 12])
def test_titles_of_a_row_of_maps_do_not_touch(heads, close_figures):
    figure = attention_maps_figure(np.zeros((32, 32, 3)), random_attention(heads, 65, 65), (8, 8), [0, 1, 37], "maps")
    figure.draw_without_rendering()
    titles = [ax.title.get_window_extent() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 3 * (heads + 1)
    for row in range(3):
        boxes = titles[row * (heads + 1):(row + 1) * (heads + 1)]
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
        assert boxes[0].x0 >= 0


def test_each_map_of_occlusion_has_its_own_scale_and_says_which(close_figures):
    maps = np.array([[[1.0, -2.0], [0.5, 0.0]], [[0.01, 0.0], [0.02, -0.005]]])
    figure = occlusion.counter_check_figure(np.zeros((2, 4, 4, 3)), maps, {"other": np.abs(maps)}, ["a", "b"])
    shown = [ax for ax in figure.axes if ax.get_xlabel()]
    assert [ax.get_xlabel() for ax in shown] == ["±2 nats", "±0.02 nats"]
    for ax, one in zip(shown, maps):
        np.testing.assert_allclose(drawn(ax), one / np.abs(one).max())
        assert ax.images[0].get_clim() == (-1, 1)


def test_the_filmstrip_shows_rollout_growing_by_a_layer(close_figures):
    layers = [random_attention(2, 5, 5, seed=i) for i in range(3)]
    figure = rollout_filmstrip(np.zeros((8, 8, 3)), layers, (2, 2))
    for k in range(3):
        assert np.array_equal(drawn(figure.axes[1 + k]), rollout(layers[:k + 1])[0, 1:].reshape(2, 2))
        assert figure.axes[1 + k].get_xlabel() == f"itself: {rollout(layers[:k + 1])[0, 0]:.2f}"


def test_the_rollout_figure_lights_the_image_where_rollout_is_highest(close_figures):
    layers = [random_attention(2, 2, 5, 5, seed=i) for i in range(2)]
    figure = rollout_figure(np.ones((2, 8, 8, 3)), layers, (2, 2), ["a", "b"])
    maps = [ax for ax in figure.axes if ax.images]
    for b in range(2):
        rolled = rollout([a[b] for a in layers])[0, 1:].reshape(2, 2)
        assert np.allclose(drawn(maps[2 + b]), layers[-1][b, :, 0, 1:].mean(axis=0).reshape(2, 2), rtol=0, atol=1e-15)
        assert np.allclose(drawn(maps[4 + b]), rolled, rtol=0, atol=1e-15)
        lit = drawn(maps[6 + b])[::4, ::4, 0]
        assert np.unravel_index(lit.argmax(), (2, 2)) == np.unravel_index(rolled.argmax(), (2, 2))


def test_the_distance_figure_has_a_dot_a_head_at_its_layer(close_figures):
    distances = np.array([[1.0, 5.0], [2.0, 3.0]])
    ax = distance.attention_distance_figure(distances, (4, 4), 4).axes[0]
    heads = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert np.array_equal(heads["head 0"], [1, 2]) and np.array_equal(heads["head 1"], [5, 3])
    assert np.array_equal(heads["mean"], [3, 2.5])
    assert heads["uniform attention"][0] == pytest.approx(distance.uniform_distance((4, 4), 4))
    assert "pixels" in ax.get_ylabel()


def test_the_measured_figure_ends_each_expected_slope_at_the_largest_size(close_figures):
    sizes = [10, 100, 1000]
    figure = measuring.measured_figure(sizes, {"seconds": {"pairs": [1.0, 3.0, 100.0]}}, "tokens", {"pairs": 2})
    measured, guide = figure.axes[0].lines
    assert list(measured.get_ydata()) == [1, 3, 100] and guide.get_label() == "slope 2"
    assert np.allclose(guide.get_ydata(), [0.01, 1, 100])


def test_sliders_draw_the_map_that_they_stand_for(monkeypatch):
    import ipywidgets
    shown = []
    monkeypatch.setattr(ipywidgets, "interact", lambda draw, **sliders: (draw, sliders))
    monkeypatch.setattr("minivit.explain.attention.sliders.plt.show", lambda: shown.append(plt.gcf()))
    p = minivit.forward(minivit.samples.CAT)
    draw, sliders = explore_attention(p)
    config = p.model.config
    rows, columns = config.grid
    assert sliders == {"layer": (0, config.num_layers - 1), "row": (0, rows - 1), "column": (0, columns - 1)}
    draw(layer=2, row=3, column=4)
    drawn = np.array([ax.images[0].get_array() for ax in shown[0].axes if ax.get_title().startswith("head")])
    asked = p.attention[2][:, 1 + 3 * columns + 4, 1:].reshape(config.num_heads, rows, columns)
    np.testing.assert_array_equal(drawn.reshape(2, config.num_heads, rows, columns)[1], asked)
    plt.close("all")
