"""`p.show()`: one figure a call, in a notebook's cell, in a window, or in words; the reader's settings stay."""

import re
import warnings

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel

import minivit
from minivit.explain.showing import show
from minivit.explain.style import STYLE, styled


@pytest.fixture
def p():
    matplotlib.use("Agg")
    plt.close("all")
    return minivit.forward(minivit.samples.CAT)


# The reader's own settings

def test_the_style_touches_its_own_settings_alone():
    @styled
    def draw():
        matplotlib.interactive(not before["interactive"])               # as Jupyter's backend does at the first figure
        matplotlib.rcParams["lines.linewidth"] = 7
        assert matplotlib.rcParams["figure.dpi"] == STYLE["figure.dpi"]
        raise KeyError

    before = dict(matplotlib.rcParams)
    try:
        with pytest.raises(KeyError):
            draw()
        changed = {name for name in before if before[name] != matplotlib.rcParams[name]}
        assert changed == {"interactive", "lines.linewidth"}
    finally:
        matplotlib.rcParams.update(before)


# A script

def test_without_a_window_it_says_how_to_keep_the_picture(p, capsys, tmp_path):
    figure = p.show()
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1 and "savefig" in told.err
    assert plt.get_fignums() == []
    figure.savefig(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_many_figures_give_no_warning_and_do_not_pile_up(p, capsys):
    mine = plt.figure()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(22):
            p.show()
    assert plt.get_fignums() == [mine.number] and plt.gcf() is mine


def test_a_backend_with_windows_opens_one(p, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(matplotlib.backends.backend_agg.FigureCanvasAgg, "required_interactive_framework", "qt")
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    show(plt.figure())
    assert [len(open_figures) for open_figures in shown] == [1] and capsys.readouterr().err == ""


# A notebook: cells run by a real kernel

@pytest.fixture(scope="module")
def cell():
    """Runs a cell: [(kind of message, its forms, its text)], what a notebook would show."""
    manager, client = start_new_kernel(kernel_name="python3")

    def run(code):
        shown = []

        def note(message):
            kind, content = message["msg_type"], message["content"]
            if kind in ("display_data", "execute_result"):
                shown.append((kind, content["data"]))
            elif kind in ("stream", "error"):
                shown.append((kind, content))

        client.execute_interactive(code, output_hook=note, timeout=120)
        return shown

    assert run("import minivit; p = minivit.forward(minivit.samples.CAT)") == []
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("code", ["p.show()", "figure = p.show()", "figure", "p.show();",
                                  "p.show()\nimport matplotlib.pyplot as plt\nplt.show()",
                                  "import matplotlib.pyplot as plt; lines = plt.plot([1, 2])"])
def test_a_cell_shows_one_figure(cell, code):
    cell("figure = p.show()")
    (kind, data), = cell(code)
    assert kind == "display_data" and "image/png" in data


@pytest.mark.parametrize("code, said", [
    ("p", "Prediction by cifar10"), ("p.model", "VisionTransformer cifar10"),
    ("p.trace", f"{9 + 12 * minivit.load().config.num_layers} steps"),
    ("minivit.backward(minivit.samples.CAT, 'cat')", "Gradients of a loss of "),
    ("minivit.compare(p.model, p.model)", "cifar10 against cifar10"),
])
def test_objects_show_a_table(cell, code, said):
    (kind, data), = cell(code)
    assert kind == "execute_result" and any(part in data["text/html"] for part in said.split("|"))
    assert "<table>" in data["text/html"] and len(data["text/plain"]) < 20_000


def test_gradients_show_their_loss(cell):
    """-log p of the class, with the probability that the forward pass gives."""
    (_, data), = cell("minivit.backward(minivit.samples.CAT, 'cat')")
    shown = float(re.search(r"Gradients of a loss of ([0-9.]+) nats", data["text/html"])[1])
    p = minivit.forward(minivit.samples.CAT)
    assert shown == pytest.approx(-np.log(p.probabilities.ravel()[p.model.labels.index("cat")]), abs=6e-5)
