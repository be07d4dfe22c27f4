"""The network as it is trained, against the network as it is used."""

from dataclasses import replace

import numpy as np
import pytest
from peaked import WIDE, images, peaked_model, peakedness, relative_error
from section_contract import SectionContract

import minivit
from minivit import head, layer, vit
from minivit.training.dropped import Draw, Dropped
from minivit.training.stochastic_depth import Layer
from minivit.trees import flatten

B = 4
RATES = [0, 0.2, 0.4]
KEPT = np.array([[0, 1, 2, 7, 19, 20], [0, 3, 4, 5, 6, 8], [0, 9, 11, 13, 15, 17], [0, 2, 4, 10, 12, 20]])
TAKING = [None, np.array([0, 2]), np.array([], int)]                   # the first and third image take the second layer


def dropped(kept, taking):
    return Dropped(kept, [layer if t is None else Layer(t, p) for t, p in zip(taking, RATES)])


def training_pass(model, x, targets, rng, patches=0.0, layers=0.0):
    return model.training_pass(x, targets, Draw.of(rng, len(x), model.config, patches, layers))


class TestNetwork(SectionContract):
    """Attention is peaked; some images skip the second layer, every image the third."""
    section = vit
    config, kept, taking = WIDE, KEPT, TAKING
    options = {"config": WIDE, "dropped": dropped(KEPT, TAKING)}

    def case(self, rng):
        return images(self.config, B), peaked_model(self.config).params

    def forward(self, x, params):
        kept, taking = self.kept, self.taking
        if len(x) < B:                                                                   # the second image alone
            kept, taking = kept[1:2], [None if t is None else np.zeros((t == 1).sum(), int) for t in taking]
        return vit.forward(x, params, self.config, dropped=dropped(kept, taking))


class TestMeanPooling(TestNetwork):
    """No [CLS], fixed positions, the tanh form; all take the last layer."""
    config = replace(WIDE, pool="mean", class_token=False, position="sincos2d", gelu="tanh")
    kept, taking = KEPT[:, 1:] - 1, [None, np.array([3]), np.arange(4)]
    options = {"config": config, "dropped": dropped(kept, taking)}


def test_attention_is_peaked_in_these_tests():
    model = peaked_model()
    for maps in minivit.tracing.attention_maps(model, images(B=B)):
        assert 0.2 <= peakedness(maps) <= 0.45


def test_forward_is_what_each_image_goes_through():
    model, x = peaked_model(), images(B=B)
    logits, _ = vit.forward(x, model.params, WIDE, dropped=dropped(KEPT, TAKING))
    embedded = minivit.tracing.trace(model, x)["embedded"]                               # (B, T, D)
    for b in range(B):
        z = embedded[b:b + 1, KEPT[b]]                                                   # (1, t, D)
        for taking, p, block in zip(TAKING, RATES, model.params["blocks"]):
            y, _ = layer.forward(z, block, WIDE.num_heads, WIDE.layer_norm_eps, WIDE.gelu)
            if taking is None or b in taking:
                z = z + (y - z) / (1 - p)
        expected, _ = head.forward(z, {name: model.params[name] for name in ("norm", "head")}, WIDE.pool,
                                   WIDE.class_token, WIDE.layer_norm_eps)
        assert relative_error(logits[b:b + 1], expected) <= 1e-13


@pytest.mark.parametrize("count", [1, 5, 19])
def test_with_everything_off_it_is_the_models_own(rng, count):
    model, x = peaked_model(), images(B=count)
    targets = rng.dirichlet(np.ones(WIDE.num_classes), count)
    loss, grads, logits = training_pass(model, x, targets, rng)
    expected_loss, expected = model.loss_and_gradients(x, targets)
    assert loss == pytest.approx(float(expected_loss), rel=1e-14)
    assert relative_error(logits, model(x)) <= 1e-14
    largest = max(np.abs(g).max() for g in flatten(expected).values())
    for name, g in flatten(grads).items():
        # The key bias has no gradient but rounding.
        assert np.abs(g - flatten(expected)[name]).max() <= 1e-13 * largest, name


def test_the_gradients_of_the_loss_are_its_slopes(rng):
    """The whole of it: places drawn, a batch cut into chunks, the mean over the batch."""
    model, x = peaked_model(), images(B=11)
    targets = rng.dirichlet(np.ones(WIDE.num_classes), len(x))

    def at(params):
        return training_pass(model.with_params(params), x, targets, np.random.default_rng(4), 0.5, 0.6)

    _, grads, _ = at(model.params)
    ahead = minivit.trees.tree_map(lambda w: rng.standard_normal(w.shape), model.params)
    slope = sum((g * v).sum() for g, v in zip(flatten(grads).values(), flatten(ahead).values()))
    h = 1e-5
    values = {k: float(at(minivit.trees.tree_map(lambda w, v, k=k: w + k * h * v, model.params, ahead))[0])
              for k in (-2, -1, 1, 2)}
    numeric = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * h)
    size = sum((g * g).sum() for g in flatten(grads).values()) ** 0.5
    assert abs(numeric - slope) <= 1e-7 * size


def test_the_draw_decides(rng):
    model, x = peaked_model(), images(B=B)
    targets = np.eye(WIDE.num_classes)[:B]

    def loss(seed, *shares):
        return float(training_pass(model, x, targets, np.random.default_rng(seed), *shares)[0])

    assert loss(0, 0.5, 0.0) == loss(0, 0.5, 0.0) != loss(1, 0.5, 0.0)
    assert loss(0, 0.0, 0.5) == loss(0, 0.0, 0.5) != loss(1, 0.0, 0.5)
    assert len({loss(0, 0.5, 0.5), loss(0, 0.5, 0.0), loss(0, 0.0, 0.5), loss(0, 0.0, 0.0)}) == 4


def test_without_a_rate_no_image_skips(rng):
    """The first layer's rate is 0: `vit` then calls the section itself, which computes the same to the bit."""
    draw = Draw.of(rng, B, WIDE, 0.5, 0.6).chunk(slice(1, 3), "cpu")
    assert draw.layers[0] is layer and [type(one) for one in draw.layers[1:]] == [Layer, Layer]
    assert draw.kept.shape[0] == 2
    assert Draw.of(rng, B, WIDE, 0.0, 0.0).chunk(slice(0, 4), "cpu") == Dropped(None, [layer] * 3)


def test_each_chunk_goes_without_what_was_drawn_for_its_own_images():
    draw = Draw.of(np.random.default_rng(3), 40, WIDE, 0.5, 0.6)
    for part in (slice(0, 16), slice(16, 32), slice(32, 40)):
        dropped = draw.chunk(part, "cpu")
        np.testing.assert_array_equal(dropped.kept, draw.kept[part])
        for section, taking in zip(dropped.layers[1:], draw.taking[1:]):
            np.testing.assert_array_equal(section.taking, np.flatnonzero(taking[part]))
    assert (draw.taking[2][:16] != draw.taking[2][16:32]).any()
