"""The drawing of the network computes the network: one layer's nodes and arrows, followed, give the layer's output."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minivit
from minivit.explain.layers import network_drawing as drawing
from minivit.explain.patches.sequence import sequence_figure

SMALL = minivit.ViTConfig(patch_size=4, width=16, num_layers=2, mlp_width=24, num_heads=2, num_classes=3,
                          image_size=(12, 16))


@pytest.fixture
def figure(rng):
    model = minivit.init(SMALL, seed=1, dtype="float64")
    yield drawing.network_figure(minivit.forward(rng.random((12, 16, 3)), model))
    plt.close("all")


def test_the_arrows_compute_a_layer(rng):
    block = minivit.init(SMALL, seed=1, dtype="float64").params["blocks"][0]
    z = rng.standard_normal((1, 13, 16))
    does = {"norm1": lambda x: minivit.layer_norm.forward(x, block["norm1"])[0],
            "attention": lambda x: minivit.attention.forward(x, block["attn"], 2)[0],
            "norm2": lambda x: minivit.layer_norm.forward(x, block["norm2"])[0],
            "mlp": lambda x: minivit.mlp.forward(x, block["mlp"])[0]}
    values = {"z": z}
    for node in list(drawing.NODES)[1:]:
        received = sum(values[start] for start, end in drawing.EDGES if end == node)
        values[node] = does.get(node, lambda x: x)(received)
    np.testing.assert_allclose(values["sum2"], minivit.layer.forward(z, block, 2)[0], rtol=1e-12)


def test_each_arrow_is_drawn_from_its_node_to_its_node(figure):
    ways = {line.get_gid(): line.get_xydata() for line in figure.axes[0].lines if line.get_gid()}
    assert set(ways) == {f"{start}→{end}" for start, end in drawing.EDGES}
    for start, end in drawing.EDGES:
        way = ways[f"{start}→{end}"]
        for place, node in ((way[0], start), (way[-1], end)):
            width = drawing.BOXES[node][1] / 2 if node in drawing.BOXES else drawing.RADIUS
            assert np.abs(place - drawing.NODES[node]).max() <= width + 1e-9


def test_no_two_arrows_lie_on_each_other():
    points = [{tuple(np.round(a + (b - a) * part, 2)) for a, b in pairwise(way) for part in np.linspace(0, 1, 200)}
              for way in (np.array(drawing._corners(*edge)) for edge in drawing.EDGES)]
    shared = [len(one & other) for i, one in enumerate(points) for other in points[:i]]
    assert max(shared) <= 2


def test_shapes_and_the_answer_are_the_models(figure):
    words = " ".join(text.get_text() for text in figure.axes[0].texts)
    for said in ("12 patches", "12 × 48", "13 × 16", "13 tokens of 16 numbers", "L = 2", "12 × 16 pixels"):
        assert said in words, said


def test_the_patches_of_the_sequence_are_counted_from_0(rng):
    model = minivit.init(SMALL, seed=1, dtype="float64")
    numbered = sequence_figure(minivit.forward(rng.random((12, 16, 3)), model)).axes[2]
    assert [text.get_text() for text in numbered.texts] == [str(n) for n in range(12)]
    plt.close("all")
