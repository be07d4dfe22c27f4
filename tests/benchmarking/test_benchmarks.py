"""benchmarks/: what is planned, where the time goes, and the page that the measurements become."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from toy_data import TINY

import minivit
from benchmarks import breakdown, cases, plan, report, startup
from benchmarks.cases import FORWARD, TRAINING, Case

ROOT = Path(__file__).parents[2]
NAMES = ("machine", "processors", "table", "memory", "breakdown", "growth", "load", "startup")


# The plan

def test_every_row_and_side_is_planned():
    assert [case.title for case in plan.cases()] == [
        "B/16 forward, 1 image", "B/16 forward, 8 images", "S/16 forward, 1 image", "small model forward, 1 image",
        "small model forward, 256 images", "B/16 training step, 4 images", "small model training step, 64 images"]
    assert [(case.config.image_size, rounds) for case, rounds in plan.growth_cases()] == [
        (224, 9), (384, 9), (512, 3), (768, 3), (1024, 3)]


def test_libraries_that_are_missing_are_left_out(monkeypatch):
    forward, training, other = Case("B/16", TINY, 1), Case("B/16", TINY, 1, TRAINING), Case("S/16", TINY, 1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("jax", "onnx") else name)
    assert plan.JAX.missing() == ["jax"] and plan.OPENVINO.missing() == ["onnx"]
    assert [c.name for c in plan.contenders(forward)] == ["timm", "minivit", plan.PRODUCTS.name]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert {c.name for c in plan.contenders(forward)} == {c.name for c in plan.ALL}
    assert [c for c in plan.contenders(forward) if c not in plan.contenders(other)] == [plan.JAX]
    with_kernels = [c.name for c in plan.contenders(training, [None, "Haswell"])]
    assert with_kernels == ["timm", "minivit", "minivit, OpenBLAS's own kernel", "minivit, Haswell kernel",
                            plan.PRODUCTS.name]


# Where the time goes

def test_noting_the_time_changes_no_number():
    model = cases.random_model(TINY)
    x, labels = cases.fresh_batch(TINY, 3, np.random.default_rng(0))
    timed = model.with_params(minivit.trees.tree_map(lambda a: a.view(breakdown.TimedArray), model.params))
    np.testing.assert_array_equal(timed(x.view(breakdown.TimedArray)), model(x))
    (_, mine), (_, plain) = (m.loss_and_gradients(x, labels) for m in (timed, model))
    for name, gradient in minivit.trees.flatten(plain).items():
        np.testing.assert_array_equal(minivit.trees.flatten(mine)[name], gradient)


@pytest.mark.parametrize("kind", [FORWARD, TRAINING])
def test_every_part_has_its_time(tmp_path, kind):
    path = cases.weights_file(Case("tiny", TINY, 3), tmp_path)
    parts = breakdown.breakdown(path, 3, kind, rounds=1)
    assert set(parts) == set(breakdown.ORDER) - ({"AdamW"} if kind == FORWARD else set())
    # What is left over, a difference of times, may be lost in noise.
    assert min(seconds for part, seconds in parts.items() if part != breakdown.REST) > 0


def test_operations_are_noted_under_the_section_that_asked_for_them():
    x = np.ones((2, 4, 16), np.float32).view(breakdown.TimedArray)
    params = minivit.init(TINY).params["blocks"][0]
    for function, part in ((lambda: minivit.softmax.forward(x), "softmax"), (lambda: minivit.gelu.forward(x), "GELU"),
                           (lambda: minivit.layer_norm.forward(x, params["norm1"]), "LayerNorm"),
                           (lambda: minivit.patch_embedding.linear.forward(x, params["mlp"]["fc1"]), breakdown.LINEAR),
                           (lambda: minivit.attention.scores(x, x), breakdown.PAIRS)):
        breakdown.seconds_of.clear()
        function()
        assert part in breakdown.seconds_of, part
        assert set(breakdown.seconds_of) <= {part, breakdown.OTHER}


# Start-up

def test_programs_that_fail_are_left_out(monkeypatch):
    monkeypatch.setattr(startup, "PROGRAMS", {"right": ["-c", "pass"], "wrong": ["-c", "import nothing_of_that_name"]})
    samples = startup.start_up(threads=1, rounds=2)
    assert list(samples) == ["right"] and len(samples["right"]) == 2


# The page

def results():
    """Invented measurements in the form of run.py's."""
    def row(title, side=224, **seconds):
        found = {name: {"seconds": s, "peak_bytes": 5e7, "errors": {"logits": 2e-6}} for name, s in seconds.items()}
        return {"title": title, "side": side, "images": 1, "kind": FORWARD, "results": found}
    refused = row("B/16 forward, 8 images", minivit=[2.0], timm=[4.0])
    refused["results"]["timm"] = {"why": "its logits differ"}
    return {"machine": {"processor": "A processor", "cores": 2, "system": "Linux x86_64", "python": "3.12",
                        "numpy": "2.4", "minivit": "0.1.0", "date": "2020-02-20",
                        "blas": {"name": "openblas", "version": "0.3", "kernel": "SkylakeX", "threads": 2}},
            "versions": {"torch": "2.13.0", "jax": None}, "threads": 2, "rounds": 3, "own_kernel": "Zen",
            "kernel_rates": {"Zen": 2e11, "SkylakeX": 3.5e11}, "missing": {"JAX": ["jax"]},
            "table": [row("B/16 forward, 1 image", timm=[0.2, 0.24, 0.22], minivit=[0.1, 0.11, 0.12]), refused],
            "growth": [row("g", side, timm=[side / 1e3], minivit=[side / 2e3]) for side in (224, 384)],
            "load": row("B/16 forward, 1 image", timm=[1.0], minivit=[0.5]),
            "startup": {"import minivit": [0.02, 0.03, 0.04]},
            "breakdown": [{"title": "B/16 forward, 1 image", "parts": {"softmax": 0.025, breakdown.LINEAR: 0.075},
                           "products": {"seconds": [0.07]}}]}


def test_the_page_is_filled_and_its_prose_kept(tmp_path):
    page = tmp_path / "performance.md"
    shutil.copy(report.PAGE, page)
    report.write(json.loads(json.dumps(results())), page, tmp_path, of_processors(tmp_path))
    text = page.read_text("utf-8")
    for expected in ("| B/16 forward, 1 image | 110 ms (105–115) | 220 ms (210–230) |",
                     "| B/16 forward, 1 image | 0.50 |",
                     "| B/16 forward, 8 images | 2.00 s (2.00–2.00) | – |",
                     "No figures for timm in “B/16 forward, 8 images”: its logits differ.",
                     "Turns behind each median: 1 to 3. Outputs compared before timing: relative error at most 2.0e-06",
                     "| B/16 forward, 1 image | 50 | 50 |", "image of 384 pixels | 50 |",
                     "| softmax | 25.00 ms, 25 % |", "| **in all** | 100 ms |", "\n\nTurns behind each median: 1.",
                     "| 384 | 1 | 192 ms (192–192) | 384 ms (384–384) |",
                     "| `import minivit` | 30.00 ms (25.00–35.00) |",
                     "| minivit's time / timm's | A processor, 2020-02-20, 2 cores | Another, 2020-02-20, 2 cores |",
                     "| B/16 forward, 1 image | 0.50 | 2.00 |", "| B/16 forward, 8 images | – | – |",
                     "left alone, OpenBLAS takes Zen", "Not measured: JAX, for want of jax."):
        assert expected in text, expected
    assert (tmp_path / "growth_time.png").stat().st_size and (tmp_path / "growth_memory.png").stat().st_size
    assert prose(text) == prose(report.PAGE.read_text("utf-8"))
    report.write(results(), page, tmp_path, tmp_path / "results")
    assert page.read_text("utf-8") == text


def of_processors(tmp_path):
    """A folder with the results of two processors, the second twice as slow as timm."""
    folder = tmp_path / "results"
    folder.mkdir()
    other = results() | {"machine": results()["machine"] | {"processor": "Another"}}
    timings = other["table"][0]["results"]
    timings["minivit"]["seconds"], timings["timm"]["seconds"] = [0.44], [0.22]
    for name, one in (("a", results()), ("b", other)):
        (folder / f"{name}.json").write_text(json.dumps(one), "utf-8")
    return folder


def test_a_processors_results_have_a_file_of_its_own():
    assert report.slug("AMD EPYC") == "amd-epyc"
    assert report.slug("Intel(R) Xeon(R) CPU @ 2.20GHz") == "intel-xeon-cpu-2-20ghz"
    files = {path.stem: json.loads(path.read_text("utf-8")) for path in report.RESULTS.glob("*.json")}
    assert files and all(report.slug(one["machine"]["processor"]) == name for name, one in files.items())


def prose(text):
    """The page without what is generated."""
    for name in NAMES:
        text = report.filled(text, name, "")
    return text


def test_parts_without_measurements_stay(tmp_path):
    page = tmp_path / "performance.md"
    shutil.copy(report.PAGE, page)
    measured = {key: value for key, value in results().items() if key not in ("growth", "load")}
    report.write(measured, page, tmp_path, tmp_path)
    for name in ("growth", "load"):
        mark = f"<!-- {name} -->"
        assert page.read_text("utf-8").split(mark)[1].split("<!--")[0] == \
               report.PAGE.read_text("utf-8").split(mark)[1].split("<!--")[0]
    assert not list(tmp_path.glob("*.png"))


def test_a_page_without_marks_is_told():
    with pytest.raises(ValueError, match="<!-- table --> and <!-- /table --> once"):
        report.filled("nothing here", "table", "| a |")


def test_the_same_kernel_is_not_shown_as_two():
    same = results() | {"own_kernel": "SkylakeX"}
    assert "no other default to measure" in report.machine(same)
