"""Threads: what is shared is whole, in order, and never nested; BLAS has its own number of threads back afterwards."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from peaked import peaked_model
from platforms import needs_fork

import minivit
from minivit.engine import blas_threads, sums, threads, tiles
from minivit.trees import flatten
from tests.strict_array import fake_cupy, on_device

needs_blas = pytest.mark.skipif(not blas_threads.blas().info(), reason="threadpoolctl does not know NumPy's BLAS here")


@pytest.fixture
def two_threads(monkeypatch):
    """Two threads wherever the tests run, and every step worth sharing."""
    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    monkeypatch.setattr(threads, "SMALLEST_SHARED", 0)


@pytest.mark.parametrize("images, available, runs", [(1, 2, 1), (2, 2, 2),
                                                     (3, 2, 2), (32, 2, 2), (33, 2, 4), (64, 2, 4),
                                                     (17, 1, 2), (5, 4, 4)])
def test_split_covers_the_batch_evenly(images, available, runs, monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: available)
    parts = threads.chunks(np.empty(images))
    assert len(parts) == runs
    assert [i for part in parts for i in range(images)[part]] == list(range(images))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) <= threads.IMAGES_PER_CHUNK and max(lengths) - min(lengths) <= 1


def test_each_keeps_the_order_and_uses_other_threads(two_threads):
    meeting = threading.Barrier(2, timeout=30)

    def function(item):
        meeting.wait()                                       # passed only if two run at the same time
        return item, threading.current_thread().name

    results = threads.each(function, list(range(6)))
    assert [item for item, _ in results] == list(range(6)) and len({name for _, name in results}) == 2


@pytest.mark.parametrize("available, count", [(1, 3), (2, 1), (2, 2), (2, 7), (3, 7)])
def test_total_adds_everything_once(available, count, monkeypatch):
    """Both what is returned and what is handed over early, with the sum's order that of the threads."""
    monkeypatch.setattr(threads, "thread_count", lambda: available)
    items = [{"a": np.full(3, float(i)), "b": [np.array([[i]])]} for i in range(count)]

    def function(item, parts):
        for layer in (1, 0):
            parts[layer] = {"w": item["a"] * 10 ** layer}
        return {"a": item["a"].copy(), "b": [item["b"][0].copy()], "loss": 0.5}

    result, parts = sums.total(function, items)
    expected = count * (count - 1) / 2
    np.testing.assert_array_equal(result["a"], np.full(3, expected))
    assert result["b"][0] == expected and result["loss"] == 0.5 * count
    assert sorted(parts) == [0, 1] and all(np.array_equal(parts[k]["w"], np.full(3, expected * 10 ** k)) for k in parts)


def test_a_total_does_not_depend_on_which_thread_is_first(monkeypatch):
    """Rounding depends on the order of a sum: here the first thread comes last, and the sum is the same to the bit."""
    monkeypatch.setattr(threads, "thread_count", lambda: 3)
    values = np.random.default_rng(0).standard_normal((3, 1000)).astype(np.float32)
    done = [threading.Event() for _ in range(4)]
    done[3].set()
    given = {}

    def function(i, parts):
        assert done[i + 1].wait(30)                          # 2 before 1 before 0
        for part in range(4):
            given[part, i] = values[i] * 2 ** part
            parts[part] = given[part, i]
        done[i].set()
        return values[i].copy()

    result, parts = sums.total(function, [0, 1, 2])
    expected = (values[0] + values[1]) + values[2]
    assert np.array_equal(result, expected)
    for part in range(4):
        assert np.array_equal(parts[part], 2 ** part * expected)
        assert parts[part] is given[part, part % 3]          # whose memory holds the sum goes round
    assert not np.array_equal(expected, values[0] + (values[1] + values[2]))


def test_share_spreads_only_the_steps_of_a_single_item(two_threads):
    def parts(_):
        return threads.spread(lambda part: (part, threading.current_thread().name), 10, np.empty(10))

    ((alone),) = threads.each(parts, ["one image"])
    assert [part for part, _ in alone] == [slice(0, 5), slice(5, 10)] and len({name for _, name in alone}) == 2
    assert [[part for part, _ in result] for result in threads.each(parts, [1, 2])] == [[slice(0, 10)]] * 2
    assert [part for part, _ in parts(None)] == [slice(0, 10)]          # outside `each`, BLAS has its own threads


@pytest.mark.parametrize("size, parts", [(99, 1), (100, 2)])
def test_share_leaves_small_work_on_one_thread(two_threads, monkeypatch, size, parts):
    monkeypatch.setattr(threads, "SMALLEST_SHARED", 100)
    assert len(threads.each(lambda _: threads.spread(lambda part: part, 10, np.empty(size)), [0])[0]) == parts


def test_each_inside_each_does_not_wait_for_itself(two_threads):
    def outer(i):
        return threads.each(lambda j: (i, j, threading.current_thread().name), [0, 1])

    results = threads.each(outer, [0, 1, 2, 3])
    assert [[(i, j) for i, j, _ in row] for row in results] == [[(i, 0), (i, 1)] for i in range(4)]
    assert all(len({name for *_, name in row}) == 1 for row in results)


def test_shared_work_does_not_share_again(two_threads):
    def inner(part):
        return len(threads.spread(lambda part: part, 10, np.empty(10)))

    assert threads.each(lambda _: threads.spread(inner, 2, np.empty(10)), [0]) == [[1, 1]]


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_goes_up_once_all_threads_have_ended(two_threads, failing):
    """Else the other thread would write on into arrays that the caller has given up."""
    ended = []

    def function(part):
        if part == failing or part == slice(2 * failing, 2 * failing + 2):
            raise ValueError("this one fails")
        time.sleep(0.2)
        ended.append(part)

    with pytest.raises(ValueError, match="this one fails"):
        threads.each(lambda _: threads.spread(function, 4, np.empty(4)), [0])
    assert len(ended) == 1
    with pytest.raises(ValueError, match="this one fails"):
        threads.each(function, [0, 1])
    assert len(ended) == 2
    assert len(threads.spread(lambda part: part, 4, np.empty(4))) == 1            # and nothing stays shared


@needs_fork
def test_a_forked_child_has_threads_of_its_own():
    """multiprocessing forks by default on Linux before Python 3.14; a pool made before is dead in the child."""
    code = """if True:
        import multiprocessing, numpy as np
        from minivit.engine import sums, threads
        threads.thread_count = lambda: 2
        def run(_=None):
            return threads.each(lambda i: i, [1, 2, 3])
        run()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            print(pool.apply_async(run).get(timeout=30))
    """
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, encoding="utf-8",
                          timeout=60)
    assert done.stdout.strip() == "[1, 2, 3]", done.stderr


def test_a_gpus_arrays_stay_whole(two_threads, monkeypatch):
    monkeypatch.setattr(threads, "_pool", lambda threads: pytest.fail("a thread was asked for"))
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    model = minivit.init("Ti/16", num_classes=5, image_size=32, seed=3).to("cuda")
    x = on_device(np.zeros((2, 32, 32, 3), np.float32))
    model.loss_and_gradients(x, [0, 1])
    model(x)


@needs_blas
def test_blas_has_one_thread_inside_and_its_own_number_afterwards():
    def inside(_):
        return [library["num_threads"] for library in blas_threads.blas().info()]

    before = inside(None)
    assert {count for counts in threads.each(inside, [1, 2, 3]) for count in counts} == {1}
    assert inside(None) == before


@needs_blas
def test_callers_on_several_threads_leave_blas_as_it_was():
    """The limit belongs to the whole process: were each caller to restore what it found, it could stay at one."""
    before = [library["num_threads"] for library in blas_threads.blas().info()]
    meeting = threading.Barrier(2, timeout=30)

    def caller(first):
        def function(_):
            meeting.wait()
            if not first:
                meeting.wait()                               # leaves after the other has
            return threads.thread_count()

        result = threads.each(function, ["one image"])
        if first:
            meeting.wait()
        return result

    with ThreadPoolExecutor(2) as callers:
        counts = list(callers.map(caller, [True, False]))
    assert counts == [[max(before)]] * 2
    assert [library["num_threads"] for library in blas_threads.blas().info()] == before


def test_one_image_with_its_steps_shared(two_threads, monkeypatch):
    """Columns, rows and heads on two threads give what one thread gives, forward and backward; no bias is zero."""
    monkeypatch.setattr(tiles, "TILE_BYTES", 4096)
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": 64})
    model = peaked_model(minivit.variants.as_config("Ti/16", num_classes=5, image_size=48))
    assert all(a.all() for name, a in flatten(model.params).items() if name.endswith("bias"))
    rng = np.random.default_rng(0)
    x, dlogits = rng.standard_normal((1, 48, 48, 3)), rng.standard_normal((1, 5))

    def everything():
        logits, cache = model.forward(x)
        dx, grads = model.backward(dlogits, cache)
        return {"lean": model(x), "logits": logits, "dx": dx, **flatten(grads)}

    shared = everything()
    assert len(threads.each(lambda _: threads.spread(lambda part: part, 9, np.empty(9)), [0])[0]) == 2
    monkeypatch.setattr(threads, "thread_count", lambda: 1)
    for name, expected in everything().items():
        assert np.linalg.norm(shared[name] - expected) <= 1e-13 * np.linalg.norm(expected) + 1e-15, name


@pytest.mark.parametrize("columns", [2, 9, 64])
def test_a_products_bias_goes_to_its_own_columns(two_threads, columns):
    rng = np.random.default_rng(0)
    a, b, bias = rng.standard_normal((5, 7)), rng.standard_normal((7, columns)), rng.standard_normal(columns)
    (y,) = threads.each(lambda _: threads.product(a, b, bias), ["one image"])
    np.testing.assert_allclose(y, a @ b + bias, rtol=1e-13)


def test_product_of_views():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 7)), rng.standard_normal((9, 7))
    for left, right in ((a, b.T), (a.T, a)):
        y = threads.product(left, right)
        np.testing.assert_allclose(y, left @ right, rtol=1e-14)
        assert y.flags.c_contiguous                          # as the weights are: the optimiser goes through both
