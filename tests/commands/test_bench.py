"""`minivit bench`, and what each BLAS kernel computes a second. No time is judged."""

import json
import sys

import numpy as np
import pytest
from toy_data import TINY

import minivit.engine.blas_threads
from minivit.commands import bench, cli, kernel_rates
from minivit.engine import blas_kernel


def openblas():
    return any(library["internal_api"] == "openblas" for library in minivit.engine.blas_threads.blas().info())


@pytest.mark.skipif("not openblas()")
def test_rates_of_the_kernels(monkeypatch):
    monkeypatch.setattr(kernel_rates, "worthwhile", lambda: False)
    monkeypatch.setenv(blas_kernel.VARIABLE, "")
    monkeypatch.delenv(blas_kernel.VARIABLE)
    rates, own = kernel_rates.kernel_rates(None, seconds=0)
    assert own in rates and all(rate > 0 for rate in rates.values())
    assert kernel_rates.kernel_rates(own, seconds=0)[0].keys() == {own}


def test_a_kernel_that_cannot_be_measured(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(OSError):
        kernel_rates.kernel_rates(None, seconds=0)
    from minivit.commands import info, machine
    if openblas():
        libraries = machine.blas_libraries()
        assert "could not be measured" in info.blas_lines(libraries, info.kernels(libraries))[-1]


# minivit bench

CASES = [("tiny forward, 2 images", TINY, 2, False), ("tiny training step, 2 images", TINY, 2, True)]


@pytest.fixture
def tiny_bench(monkeypatch):
    """`minivit bench` with two tiny cases."""
    monkeypatch.setattr(bench, "cases", lambda quick: CASES)


class OtherNetwork:
    """In timm's place: minivit's own answers, multiplied by a factor."""

    library = "other 1.0"

    def __init__(self, model, factor=1):
        self.model, self.factor, self.calls = model, factor, []

    def arranged(self, x, labels):
        return x, labels

    def logits(self, x):
        return self.factor * self.model(x)

    def forward(self, x, labels):
        self.calls.append("forward")

    def train(self, x, labels):
        self.calls.append("train")


def test_bench_without_timm(tiny_bench, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "timm_network", lambda model, threads: None)
    assert cli.main(["bench", "--quick", "--threads", "1", "--json", str(tmp_path / "bench.json")]) == 0
    out, err = capsys.readouterr()
    report = json.loads((tmp_path / "bench.json").read_text())
    assert err == "" and report["threads"] == 1 and report["machine"]["processor"] in out
    for case, (title, *_) in zip(report["cases"], CASES):
        assert case["title"] == title and len(case["minivit"]) == 3 and "timm" not in case
        (line,) = [line for line in out.splitlines() if line.startswith(title)]
        assert line.endswith(bench.in_words(np.median(case["minivit"])))
    assert "not compared with PyTorch" in out and "medians of 3 turns" in out


def test_bench_beside_another_library(tiny_bench, capsys, monkeypatch):
    made = []
    monkeypatch.setattr(bench, "timm_network", lambda model, threads: made.append(OtherNetwork(model)) or made[-1])
    assert cli.main(["bench", "--quick", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [case["error"] for case in report["cases"]] == [0, 0]
    assert all(len(case["timm"]) == 3 and min(case["timm"]) >= 0 for case in report["cases"])
    assert [network.calls for network in made] == [["forward"] * 4, ["train"] * 4]      # the first is not counted
    line = bench._line("tiny", {"minivit": [1.0, 3.0, 2.0], "timm": [4.0, 4.0, 5.0]})
    assert "2.00 s" in line and "4.00 s" in line and line.endswith("x 0.50")


def test_another_network_is_not_timed(tiny_bench, capsys, monkeypatch):
    monkeypatch.setattr(bench, "timm_network", lambda model, threads: OtherNetwork(model, 1.01))
    assert cli.main(["bench", "--quick"]) == 2
    assert "timm's logits differ by 9.9e-03 of their norm" in capsys.readouterr().err


@pytest.mark.parametrize("seconds, words", [(1.234, "1.23 s"), (0.4567, "457 ms"), (0.01234, "12.34 ms"),
                                            (0.0001, "0.10 ms")])
def test_in_words(seconds, words):
    assert bench.in_words(seconds) == words


@pytest.mark.parametrize("arguments, said", [
    (["--json", "none/bench.json"], "there is no folder"), (["--threads", "0"], "from 1 on"),
    (["--threads", "100000"], "processor core"), (["extra"], "unrecognized arguments: extra")])
def test_mistakes(tiny_bench, capsys, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    try:
        status = cli.main(["bench", *arguments])
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "") and len(err.splitlines()) == 1 and said in err
    assert not list(tmp_path.iterdir())


def test_what_bench_measures():
    chosen = bench.cases()
    assert [title for title, *_ in chosen] == [
        "B/16 forward, 1 image", "B/16 forward, 8 images", "packaged model forward, 1 image",
        "packaged model forward, 256 images", "packaged model forward and backward, 64 images"]
    assert len(bench.cases(quick=True)) == 4
