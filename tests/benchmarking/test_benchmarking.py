"""What benchmarks/ measures with: samples, workers in turns, memory. No time is judged."""

import os
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from toy_data import TINY

import minivit
from benchmarks import cases, memory, plan, process, products_network, summary, turns, worker
from benchmarks.cases import FORWARD, TRAINING, Case
from benchmarks.process import Contender, NotMeasured
from minivit.commands import machine
from minivit.engine import blas_kernel

MINIVIT, PRODUCTS = plan.MINIVIT, plan.PRODUCTS
SHORT = Case("tiny", TINY, 2)


# Samples

def test_median_and_quartiles():
    samples = [5.0, 1.0, 4.0, 100.0, 2.0, 3.0, 7.0, 6.0, 8.0]
    assert summary.median(samples) == np.median(samples) == 5.0
    assert summary.quartiles(samples) == tuple(np.percentile(samples, [25, 75]))
    assert summary.quartiles([3.0]) == (3.0, 3.0)
    assert summary.ratio([2.0, 4.0, 3.0], [6.0, 5.0, 60.0]) == 0.5


@pytest.mark.parametrize("seconds, words", [(1.234, "1.23 s"), (0.4567, "457 ms"), (0.01234, "12.34 ms"),
                                            (0.0001, "0.10 ms")])
def test_in_words(seconds, words):
    assert summary.in_words(seconds) == words


def test_the_spread_has_the_unit_and_digits_of_the_median():
    assert summary.with_spread([0.9, 1.0, 1.25]) == "1.00 s (0.95–1.12)"
    assert summary.with_spread([0.1, 0.2, 0.4]) == "200 ms (150–300)"


# Cases

def test_titles():
    assert Case("B/16", TINY, 1).title == "B/16 forward, 1 image"
    assert Case("B/16", TINY, 4, TRAINING).title == "B/16 training step, 4 images"


def test_batches_are_fresh():
    first, second = (cases.fresh_batch(TINY, 3, np.random.default_rng(seed)) for seed in (0, 1))
    assert first[0].shape == (3, 8, 8, 3) and first[0].dtype == np.float32 and first[1].shape == (3,)
    assert not np.intersect1d(first[0], second[0]).size and set(first[1]) <= {0, 1}


def test_random_weights_have_peaked_attention_and_nothing_is_trivial():
    config = minivit.variants.as_config("Ti/16", image_size=112, num_classes=10)
    model = cases.random_model(config)
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    peaks = [attention.max(axis=-1).mean() for attention in minivit.forward(image, model).attention]
    assert min(peaks) > 0.1 > 4 / config.num_tokens
    for name, array in minivit.trees.flatten(model.params).items():
        assert array.std() > 0.01, name
        if name.endswith("bias"):
            assert (array != 0).all(), name


def test_weights_are_written_once(tmp_path):
    path = cases.weights_file(SHORT, tmp_path)
    assert minivit.load(path).config == TINY
    written = path.stat().st_mtime_ns
    assert cases.weights_file(SHORT, tmp_path) == path and path.stat().st_mtime_ns == written
    other = Case("tiny", minivit.variants.as_config(TINY, image_size=16), 2)
    assert cases.weights_file(other, tmp_path) != path


# Workers in turns

@pytest.mark.parametrize("kind", [FORWARD, TRAINING])
def test_libraries_in_turns(tmp_path, kind):
    case, said = Case("tiny", TINY, 2, kind), []
    again = Contender("again", MINIVIT.module, {blas_kernel.VARIABLE: None})
    results = turns.measure(case, cases.weights_file(case, tmp_path), [MINIVIT, again, PRODUCTS], 1, 2, said.append)
    assert list(results) == ["minivit", "again", PRODUCTS.name]
    for result in results.values():
        assert len(result["seconds"]) == 2 and min(result["seconds"]) > 0 and result["blas"]["threads"] == 1
    assert results["minivit"]["errors"] == results[PRODUCTS.name]["errors"] == {}
    errors = results["again"]["errors"]
    assert errors and max(errors.values()) < 1e-5
    compared = {FORWARD: {"logits"}, TRAINING: {"gradient of the positions", "gradient of the first norm",
                                                "logits after the step"}}
    assert set(errors) == compared[kind]
    assert results["minivit"]["library"] == f"minivit {minivit.__version__}" and "round 2 of 2" in said[-1]


def test_loading_in_turns(tmp_path):
    results = turns.measure(SHORT, cases.weights_file(SHORT, tmp_path), [MINIVIT], 1, 2, loading=True)
    assert len(results["minivit"]["seconds"]) == 2


BROKEN = {"other_weights": """
from benchmarks.numpy_network import Network as Right
class Network(Right):
    def forward(self, x, labels):
        return 1.01 * super().forward(x, labels)
""", "not_installed": "import a_library_that_nobody_has", "dies": """
import os
class Network:
    library = "dies"
    def __init__(self, *arguments):
        os._exit(3)
""", "dies_later": """
import os
from benchmarks.numpy_network import Network as Right
class Network(Right):
    calls = 0
    def forward(self, x, labels):
        self.calls += 1
        if self.calls == 5:                                             # two for the outputs, two to warm up
            raise MemoryError("no room")
        return super().forward(x, labels)
"""}


@pytest.mark.parametrize("module, why", [("other_weights", "its logits differ by 1.0e-02 of their norm"),
                                         ("not_installed", "No module named 'a_library_that_nobody_has'"),
                                         ("dies", "its process ended with status 3"),
                                         ("dies_later", "MemoryError: no room")])
def test_a_library_that_fails_or_differs_has_no_figures(tmp_path, monkeypatch, module, why):
    (tmp_path / f"{module}.py").write_text(BROKEN[module], "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    results = turns.measure(SHORT, cases.weights_file(SHORT, tmp_path), [MINIVIT, Contender("it", module)], 1, 1)
    assert why in results["it"]["why"] and "seconds" not in results["it"]
    assert len(results["it"]["why"].splitlines()) == 1 and len(results["minivit"]["seconds"]) == 1


def test_a_question_to_a_process_that_has_gone(tmp_path):
    asked = process.Process(MINIVIT, SHORT, cases.weights_file(SHORT, tmp_path), 1)
    try:
        asked.process.kill()
        asked.process.wait()
        with pytest.raises(NotMeasured, match="its process ended with status"):
            asked.ask("turn", seed=0)
    finally:
        asked.close()


def test_another_library_is_first_each_round():
    processes = dict.fromkeys("abc")
    orders = ["".join(name for name, _ in turns._rotated(processes, number)) for number in range(4)]
    assert orders == ["abc", "bca", "cab", "abc"]


def test_the_environment_of_a_worker(monkeypatch):
    monkeypatch.setenv("LEFT", "1")
    found = process.environment(3, {"LEFT": None, "ADDED": "2"})
    assert "LEFT" not in found and found["ADDED"] == "2"
    assert found["OPENBLAS_NUM_THREADS"] == found["OMP_NUM_THREADS"] == "3"
    assert sys.path[-1] in found["PYTHONPATH"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not keep processes to cores")
def test_a_worker_keeps_to_its_cores(tmp_path):
    before = os.sched_getaffinity(0)
    asked = process.Process(MINIVIT, SHORT, cases.weights_file(SHORT, tmp_path), 1)
    try:
        assert len(os.sched_getaffinity(asked.process.pid)) == 1 and os.sched_getaffinity(0) == before
    finally:
        asked.close()


def test_cores_are_of_different_processors_where_the_system_tells(monkeypatch, tmp_path):
    """Logical processors 0 and 1 are threads of one core, as are 2 and 3."""
    for number, siblings in enumerate(["0-1", "0-1", "2-3", "2-3"]):
        (tmp_path / f"cpu{number}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{number}" / "topology" / "thread_siblings_list").write_text(f"{siblings}\n", "utf-8")
    monkeypatch.setattr(machine, "cores", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path)
    assert machine.cores_apart() == [0, 2, 1, 3]
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "none")
    assert machine.cores_apart() == [0, 1, 2, 3]


def test_short_calls_are_several_a_turn(tmp_path):
    one = worker.Worker(MINIVIT.module, cases.weights_file(SHORT, tmp_path), TINY, 2, FORWARD, 1)
    seen = []
    one.network.forward = lambda x, labels: seen.append(x.sum())
    one.warm_up(seed=0)
    assert one.calls == worker.MOST_CALLS and len(seen) == 2
    one.turn(seed=5)
    assert len(set(seen)) == len(seen) == 2 + worker.MOST_CALLS


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("kind", [FORWARD, TRAINING])
def test_the_products_alone_are_all_products_and_use_all_threads(tmp_path, monkeypatch, images, kind):
    """The layers' and attention's multiplications, counted by hand, and both threads at work for one image too."""
    monkeypatch.setattr(minivit.engine.threads, "thread_count", lambda: 2)
    monkeypatch.setattr(minivit.engine.threads, "SMALLEST_SHARED", 0)
    config = replace(TINY, num_layers=2)
    network = products_network.Network(cases.weights_file(Case("two", config, 2), tmp_path), config, images, threads=2)
    seen, matmul = [], np.matmul

    def noted(a, b, out):
        seen.append((a.ndim, out.size * a.shape[-1], threading.current_thread().name))
        return matmul(a, b, out=out)
    monkeypatch.setattr(np, "matmul", noted)
    x, labels = cases.fresh_batch(config, images, np.random.default_rng(0))
    (network.forward if kind == FORWARD else network.training_step)(x, labels)
    T, D, M, passes = 5, 16, 32, 1 if kind == FORWARD else 3
    asking = T + 1                                           # all in the first layer, [CLS] in the second
    linear = 4 * (4 * 4 * 3) * D + 2 * T * D * 3 * D + asking * (D * D + D * M + M * D) + D * 2
    assert sum(count for ndim, count, _ in seen if ndim == 2) == passes * images * linear
    assert sum(count for ndim, count, _ in seen if ndim == 4) == passes * images * 2 * asking * T * D
    if images == 1:
        for axes in (2, 4):
            here = sum(count for ndim, count, name in seen if (ndim, name) == (axes, "MainThread"))
            assert here == sum(count for ndim, count, _ in seen if ndim == axes) / 2


# Memory

def test_peak_memory_sees_what_a_call_holds_for_a_while():
    if memory.peak_beyond(lambda: None)[0] is None:
        pytest.skip("the system does not tell")
    peak, shape = memory.peak_beyond(lambda: np.ones(16_000_000).shape)
    assert shape == (16_000_000,) and 120e6 < peak < 200e6


def test_where_the_system_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CLEAR", tmp_path / "none" / "clear_refs")
    assert memory.peak_beyond(lambda: 5) == (None, 5)
