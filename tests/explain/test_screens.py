"""What objects print: a screen, whatever the model's size, in letters that every terminal has."""

from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest

import minivit
from minivit.checking.comparison import compare
from minivit.explain import screens
from minivit.trees import flatten

DEEP = minivit.ViTConfig(patch_size=4, width=8, num_layers=30, mlp_width=16, num_heads=2, num_classes=3, image_size=8)
LABELS = ["cat", "dog", "<owl>"]


@pytest.fixture(scope="module")
def model():
    return minivit.init(DEEP, seed=1, labels=LABELS, dtype="float64")


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), dtype=np.uint8)


def test_everything_fits_on_a_screen(model, photos):
    p = minivit.forward(photos, model)
    for thing in (p, p[0], p.trace, model, minivit.backward(photos[0], "cat", model)):
        lines = repr(thing).splitlines()
        assert len(lines) <= 30 and max(map(len, lines)) <= 140 and repr(thing).isascii(), type(thing)


def test_a_trace_is_a_dict_that_prints_its_steps(model, photos):
    steps = minivit.forward(photos[0], model).trace
    assert isinstance(steps, dict) and next(iter(steps)) == "pixels" and isinstance(steps["logits"], np.ndarray)
    rows = {line.split()[0]: line.split() for line in repr(steps).splitlines()[2:]}
    assert rows["layer.0.query"][1:8] == ["1", "x", "2", "x", "5", "x", "4"]
    for name in ("pixels", "layer.0.scores", "logits"):
        assert rows[name][-2:] == [f"{steps[name].mean():.4f}", f"{steps[name].std():.4f}"]
    assert "layer.1 to layer.29  " in repr(steps) and "layer.2.query" not in rows


def test_gradients_print_the_size_of_each_part(model, photos):
    g = minivit.backward(photos[0], "cat", model)
    rows = {line.split()[0]: line.split()[1:] for line in repr(g).splitlines()[2:-1]}
    block = np.concatenate([a.ravel() for a in flatten(g.params["blocks"][29]).values()])
    assert rows["blocks.29"] == [f"{block.size:,}", f"{np.linalg.norm(block):.2e}", f"{np.abs(block).max():.2e}"]
    assert rows["image"][0] == "192" and "blocks.15" not in rows and "..." in rows


def test_a_batch_prints_its_first_images(model, photos):
    told = repr(minivit.forward(photos, model))
    assert told.splitlines()[1] == "image 0" and "image 3" in told and "image 4" not in told
    assert told.splitlines()[-1] == "... and 96 more"


class Cells(HTMLParser):
    """The text of each cell, row by row; HTML that does not nest raises."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_html_has_the_same_and_escapes_it(model, photos):
    p = minivit.forward(photos[0], model)
    rows = Cells(p._repr_html_()).rows
    assert rows[1:] == [[label, f"{q:6.1%}"] for label, q in p.top()] and "<owl>" not in p._repr_html_()
    mean_and_std = repr(p.trace).splitlines()[2].split()[-2:]
    assert Cells(p.trace._repr_html_()).rows[1] == ["pixels", "1 x 8 x 8 x 3", *mean_and_std]
    assert ["layers", "30"] in Cells(model._repr_html_()).rows
    assert len(Cells(minivit.backward(photos[0], 0, model)._repr_html_()).rows) == 19


def test_a_comparison_has_a_row_a_step(model, photos):
    other = minivit.init(DEEP, seed=1, dtype="float64", gelu="tanh")
    comparison = compare(model, other, photos[0])
    rows = Cells(comparison._repr_html_()).rows
    assert [row[0] for row in rows[1:]] == [row.name for row in comparison.rows]
    assert [row[-1] for row in rows if "first" in row[-1]] == ["DIFFERS  <- first"]
    assert escape(comparison.cause) in comparison._repr_html_()


def test_a_model_without_head(photos):
    p = minivit.forward(photos[0], minivit.init(DEEP, num_classes=0))
    assert "no head" in p._repr_html_() and "table" not in p._repr_html_()


def test_a_trace_of_one_layer_hides_nothing():
    steps = {"pixels": np.ones((1, 2)), "layer.0.norm1": np.ones((1, 2)), "norm": np.ones((1, 2))}
    assert len(screens.trace_screen(steps).rows) == 3
