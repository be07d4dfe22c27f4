"""Muon against torch's, and its iteration against the singular value decomposition."""

from pathlib import Path

import numpy as np
import pytest
from peaked import SMALL, peaked_model, relative_error
from threadpoolctl import threadpool_limits

from minivit.training import muon
from minivit.training.muon import Muon
from minivit.trees import flatten, tree_map

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "muon.npz")


def test_muon_is_torchs():
    names = [name.removeprefix("start/") for name in REFERENCE.files if name.startswith("start/")]
    params = {name: REFERENCE[f"start/{name}"].copy() for name in names}
    optimiser = Muon.for_params(params)
    assert set(optimiser.momentum) == {f"blocks.0.{name}.weight" for name in ("attn.qkv", "attn.proj", "mlp.fc1",
                                                                              "mlp.fc2")}
    for step, rate in enumerate(REFERENCE["rates"]):
        optimiser.step(params, {name: REFERENCE[f"grads/{name}"][step] for name in names}, rate,
                       float(REFERENCE["decay"]))
        for name in names:
            assert relative_error(params[name], REFERENCE[f"after/{name}"][step]) <= 1e-13, (step, name)
    assert optimiser.steps == len(REFERENCE["rates"])


@pytest.mark.parametrize("shape", [(12, 12), (5, 40), (40, 5), (1, 9)])
def test_the_iteration_keeps_the_directions_and_evens_out_the_singular_values(rng, shape):
    count = min(shape)
    left, _ = np.linalg.qr(rng.standard_normal((shape[0], count)))
    right, _ = np.linalg.qr(rng.standard_normal((shape[1], count)))
    s = np.geomspace(1, 0.002, count)
    s /= np.linalg.norm(s)
    assert s.min() >= 0.0009
    expected = s.copy()
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected ** 3 + 2.0315 * expected ** 5
    for size in (1.0, 1e6):
        found = muon.orthogonal(size * (left * s) @ right.T)
        assert relative_error(found, (left * expected) @ right.T) <= 1e-5
    values = np.linalg.svd(found, compute_uv=False)
    assert (values[np.sort(s)[::-1] >= 0.0015] >= 0.67).all() and values.max() <= 1.21
    u, _, vt = np.linalg.svd(size * (left * s) @ right.T, full_matrices=False)
    assert np.abs(np.einsum("ik,ij,jk->k", u, found, vt.T) - expected).max() <= 1e-5      # U and V are those of g


def test_smaller_singular_values_grow_no_more_than_said():
    s = np.array([1.0, 1e-6])
    assert np.linalg.svd(muon.orthogonal(np.diag(s)), compute_uv=False)[1] == pytest.approx(485e-6, rel=0.01)


def test_a_zero_gradient_moves_nothing():
    assert (muon.orthogonal(np.zeros((3, 4))) == 0).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_float32_stays_float32_and_threads_change_nothing(threads):
    model, grads = peaked_model(dtype="float32"), peaked_model(seed=1, dtype="float32").params
    wide = tree_map(lambda a: a.astype(np.float64), model.params)
    before = tree_map(np.copy, grads)
    narrow_optimiser, wide_optimiser = Muon.for_params(model.params), Muon.for_params(wide)
    with threadpool_limits(threads, user_api="blas"):
        for _ in range(3):
            narrow_optimiser.step(model.params, grads, 0.01, 0.1)
            wide_optimiser.step(wide, tree_map(lambda a: a.astype(np.float64), grads), 0.01, 0.1)
    for name, w in flatten(model.params).items():
        assert w.dtype == np.float32 and relative_error(w, flatten(wide)[name]) <= 1e-5, name
    assert {a.dtype for part in narrow_optimiser.arrays().values() for a in part.values()} == {np.dtype(np.float32)}
    tree_map(np.testing.assert_array_equal, grads, before)


def test_every_parameter_has_one_optimiser():
    model = peaked_model()
    optimiser = Muon.for_params(model.params)
    arrays = optimiser.arrays()
    assert set(arrays) == {"momentum", "first", "second"}
    assert not set(arrays["momentum"]) & set(arrays["first"])
    assert set(arrays["momentum"]) | set(arrays["first"]) == set(flatten(model.params))
    assert len(arrays["momentum"]) == 4 * SMALL.num_layers
