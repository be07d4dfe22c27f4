import numpy as np
import pytest
from peaked import relative_error
from section_contract import SectionContract, linear_params, norm_params

from minivit import head, layer_norm

D, K, T = 6, 4, 5


class TestClsHead(SectionContract):
    section = head
    options = {"pool": "cls"}

    def case(self, rng):
        return rng.standard_normal((3, T, D)), {"norm": norm_params(rng, D), "head": linear_params(rng, D, K)}


class TestMeanHead(SectionContract):
    section = head
    options = {"pool": "mean", "first": 1}

    def case(self, rng):
        return rng.standard_normal((3, T, D)), {"fc_norm": norm_params(rng, D), "head": linear_params(rng, D, K)}


class TestMeanHeadWithoutClsToken(TestMeanHead):
    options = {"pool": "mean", "first": 0}


class TestWithoutClasses(SectionContract):
    section = head

    def case(self, rng):
        return rng.standard_normal((3, T, D)), {"norm": norm_params(rng, D)}


def expected_logits(pooled, norm, linear):
    return layer_norm.forward(pooled, norm)[0] @ linear["weight"] + linear["bias"]


def test_cls_reads_the_first_token_through_the_final_norm(rng):
    x, params = TestClsHead().case(rng)
    y, cache = head.forward(x, params, "cls")
    assert relative_error(y, expected_logits(x[:, 0], params["norm"], params["head"])) <= 1e-14
    dx, _ = head.backward(rng.standard_normal((3, K)), cache)
    assert (dx[:, 0] != 0).all() and (dx[:, 1:] == 0).all()


@pytest.mark.parametrize("first", [0, 1, 3])
def test_mean_reads_the_patches_and_not_what_stands_before_them(rng, first):
    x, params = TestMeanHead().case(rng)
    y, cache = head.forward(x, params, "mean", first)
    patches = x[:, first:]
    pooled = sum(patches[:, n] for n in range(patches.shape[1])) / patches.shape[1]
    assert relative_error(y, expected_logits(pooled, params["fc_norm"], params["head"])) <= 1e-14
    dx, _ = head.backward(rng.standard_normal((3, K)), cache)
    assert (dx[:, :first] == 0).all()
    assert (dx[:, first:] == dx[:, first:first + 1]).all() and (dx[:, first] != 0).all()


def test_without_classes_the_representation_is_the_result(rng):
    x, params = TestWithoutClasses().case(rng)
    y, _ = head.forward(x, params)
    assert np.array_equal(y, layer_norm.forward(x[:, 0], params["norm"])[0])


def test_a_zero_head_answers_its_bias(rng):
    x, params = TestClsHead().case(rng)
    params["head"]["weight"][...] = 0
    assert np.array_equal(head.forward(x, params)[0], np.stack([params["head"]["bias"]] * 3))


def test_the_default_eps_is_1e_6(rng):
    x, params = TestClsHead().case(rng)
    assert np.array_equal(head.forward(1e-3 * x, params)[0], head.forward(1e-3 * x, params, eps=1e-6)[0])
    assert relative_error(head.forward(1e-3 * x, params)[0], head.forward(1e-3 * x, params, eps=1e-5)[0]) > 1e-2
