"""`minivit.embed`: rows equal what the model says of each image by itself, whatever is beside it."""

import gc
import itertools
import re
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.explain.attention.distance import mean_attention_distance
from minivit.explain.attention.spread import effective_tokens
from minivit.tracing import attention_maps
from tests.many.pictures import make


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "in"
    make(folder, 37, bad=(3, 20))
    return folder


@pytest.fixture(scope="module")
def model():
    return minivit.load(dtype="float64")


def test_rows_are_what_the_model_says_of_each_image(folder, model):
    rows = list(minivit.embed(folder, model, top=3, attention=True))
    assert [row.path for row in rows] == [str(folder / f"{i:05d}.png") for i in range(37)]
    for i, row in enumerate(rows):
        if i in (3, 20):
            assert row.path in row.error and row.top is row.representation is row.distance is row.entropy is None
            continue
        p = minivit.forward(row.path, model)
        assert [label for label, _ in row.top] == [label for label, _ in p.top(3)]
        np.testing.assert_allclose([q for _, q in row.top], [q for _, q in p.top(3)], rtol=1e-10)
        assert row.representation.dtype == np.float32
        np.testing.assert_allclose(row.representation, p.trace["representation"][0], rtol=1e-5, atol=1e-6)
        maps = [a[0] for a in attention_maps(model, p.x)]
        distance = mean_attention_distance(maps, model.config.grid, model.config.patch_size)
        np.testing.assert_allclose(row.distance, distance.mean(axis=1), rtol=1e-10)
        expected = [-np.mean([sum(v * np.log(v) for v in query if v > 0) for query in a.reshape(-1, a.shape[-1])])
                    for a in maps]
        np.testing.assert_allclose(row.entropy, expected, rtol=1e-10)
    assert effective_tokens([a[None] for a in maps]).shape[0] == len(row.entropy)


def test_a_model_without_head_has_no_top_and_what_nobody_asked_for_is_none(folder):
    from dataclasses import replace
    packaged = minivit.load()
    headless = minivit.VisionTransformer(replace(packaged.config, num_classes=0),
                                         {k: v for k, v in packaged.params.items() if k != "head"})
    row = next(minivit.embed(folder, headless, representation="float16"))
    assert row.top is None and row.representation.dtype == np.float16 and row.distance is None
    row = next(minivit.embed(folder, packaged, top=0, representation=None))
    assert row.top is row.representation is None and row.error is None


@pytest.mark.parametrize("variant", [None, "DeiT-Ti/16 distilled"])
@pytest.mark.parametrize("number", [1, 3])
def test_the_bits_do_not_depend_on_the_number_of_threads(folder, monkeypatch, variant, number):
    from minivit.engine import threads
    from minivit.many import here
    model = variant and minivit.init(variant, seed=0, num_classes=10, image_size=32, num_layers=2)
    expected = list(minivit.embed(folder, model))
    for module in (here, threads):
        monkeypatch.setattr(module, "thread_count", lambda: number)
    for ours, theirs in zip(minivit.embed(folder, model), expected, strict=True):
        assert ours.path == theirs.path and ours.error == theirs.error and ours.top == theirs.top
        assert np.array_equal(ours.representation, theirs.representation)


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """As many as BLAS has may be one."""
    from minivit.many import here
    monkeypatch.setattr(here, "thread_count", lambda: 2)


def held():
    """Bytes that the package's own lines have allocated and not given back; other threads of the process have more."""
    gc.collect()
    ours = tracemalloc.Filter(True, str(Path(minivit.__file__).parent / "*"))
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([ours]).traces)


def endless(folder, read):
    for path in itertools.cycle([folder / "00000.png", folder / "00003.png"]):
        assert next(read) < 1000
        yield path


def test_only_a_few_batches_are_read_ahead(folder):
    from minivit.many import here
    read = itertools.count()
    rows = minivit.embed(endless(folder, read), batch_size=4)
    list(itertools.islice(rows, 400))
    rows.close()
    assert next(read) <= 400 + 4 * 2 * here.WAITING


def test_memory_does_not_grow_with_the_rows(folder, monkeypatch):
    """On one thread, which does nothing between two rows: other threads would be counted in the middle of a batch."""
    from minivit.many import here
    monkeypatch.setattr(here, "thread_count", lambda: 1)
    tracemalloc.start()
    rows = minivit.embed(endless(folder, itertools.count()), batch_size=4)
    list(itertools.islice(rows, 40))
    before = held()
    list(itertools.islice(rows, 400))
    grown = held() - before
    tracemalloc.stop()
    assert grown < 50_000


@pytest.mark.parametrize("arguments, message", [
    ({"top": -1}, "top is a number of classes from 0 on, found -1"),
    ({"representation": "float64"}, 'representation is "float32", "float16" or None, found \'float64\''),
    ({"batch_size": 0}, "batch_size is a number from 1 to 1,024, found 0"),
    ({"model": "cifar10"}, "model is a VisionTransformer, found 'cifar10'"),
], ids=["top", "representation", "batch_size", "model"])
def test_wrong_arguments_are_told_at_once(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        minivit.embed(folder, **arguments)


def test_an_empty_source_is_told_at_once(tmp_path):
    with pytest.raises(minivit.ImageError, match="holds no image"):
        minivit.embed(tmp_path)


def scaled(dtype="float32", **factors):
    """The packaged model with the weights of its head or its last norm multiplied."""
    model = minivit.load(dtype=dtype)
    return model.with_params({**model.params, **{
        name: {**model.params[name], "weight": model.params[name]["weight"] * model.dtype.type(factor)}
        for name, factor in factors.items()}})


@pytest.mark.parametrize("factors, kind, message", [
    ({"head": np.nan}, "float32", "NaN or infinite"), ({"norm": 1e5, "head": 1e38}, "float32", "NaN or infinite"),
    ({"norm": np.inf}, "float32", "NaN or infinite"), ({"norm": np.nan}, None, "NaN or infinite"),
    ({"norm": 1e5}, "float16", r"reaches .*, and float16 ends at 65504: take float32"),
    ({"norm": 1e5}, "float32", None),
])
def test_numbers_that_are_none_are_an_error(folder, factors, kind, message):
    """And NumPy warns of nothing: the row says it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = next(minivit.embed(folder, scaled(**factors), representation=kind))
    if message is None:
        assert row.error is None and np.abs(row.representation).max() > 65504
        return
    assert re.search(message, row.error) and row.top is row.representation is None


def test_attention_alone_of_a_network_of_nan_is_an_error(folder):
    row = next(minivit.embed(folder, scaled(norm=np.nan), top=0, representation=None, attention=True))
    assert "NaN or infinite" in row.error and row.distance is row.entropy is None


def test_a_representation_too_large_for_float32_is_an_error(folder):
    row = next(minivit.embed(folder, scaled("float64", norm=1e40), top=0))
    assert re.search(r"reaches \S+e\+\d+, and float32 ends at 3.4028e\+38$", row.error)
