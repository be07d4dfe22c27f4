import numpy as np
import pytest
from peaked import relative_error
from section_contract import SectionContract, linear_params, mlp_params, norm_params

from minivit import attention_pooling, head, layer_norm
from minivit.normed_head import NormedHead, head_of
from minivit.variants import as_config

D, H, K, M, T = 6, 2, 4, 10, 5


class TestNormedMean(SectionContract):
    section = NormedHead()
    options = {"pool": "normed_mean", "first": 1}

    def case(self, rng):
        return rng.standard_normal((3, T, D)), {"norm": norm_params(rng, D), "head": linear_params(rng, D, K)}


class TestNormedMeanOfAllTokens(TestNormedMean):
    options = {"pool": "normed_mean", "first": 0}


class TestWithoutClasses(SectionContract):
    section = NormedHead()

    def case(self, rng):
        return rng.standard_normal((3, T, D)), {"norm": norm_params(rng, D)}


class TestAttentionPooling(SectionContract):
    section = NormedHead(H, "tanh")
    options = {"pool": "map", "first": 0}

    def case(self, rng):
        pool = {"latent": rng.standard_normal((1, 1, D)), "q": linear_params(rng, D, D),
                "kv": linear_params(rng, D, 2 * D), "proj": linear_params(rng, D, D), "norm": norm_params(rng, D),
                "mlp": mlp_params(rng, D, M)}
        return rng.standard_normal((3, T, D)), {"norm": norm_params(rng, D), "attn_pool": pool,
                                                "head": linear_params(rng, D, K)}


class TestDistilled(SectionContract):
    section = NormedHead()
    options = {"pool": "distilled", "first": 2}

    def case(self, rng):
        return rng.standard_normal((3, T, D)), {"norm": norm_params(rng, D), "head": linear_params(rng, D, K),
                                                "head_dist": linear_params(rng, D, K)}


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_mean_of_normed_tokens(rng, first):
    x, params = TestNormedMean().case(rng)
    y, _ = NormedHead().forward(x, params, "normed_mean", first)
    normed = layer_norm.forward(x, params["norm"])[0]
    mean = sum(normed[:, t] for t in range(first, T)) / (T - first)
    assert relative_error(y, mean @ params["head"]["weight"] + params["head"]["bias"]) <= 1e-14


def test_attention_pooling_reads_normed_patches(rng):
    x, params = TestAttentionPooling().case(rng)
    y, _ = NormedHead(H, "tanh").forward(x, params, "map", 1)
    normed = layer_norm.forward(x[:, 1:], params["norm"])[0]
    pooled, _ = attention_pooling.forward(normed, params["attn_pool"], H, gelu="tanh")
    assert relative_error(y, pooled @ params["head"]["weight"] + params["head"]["bias"]) <= 1e-14


def test_distilled_reads_two_tokens_and_no_patch(rng):
    x, params = TestDistilled().case(rng)
    y, cache = NormedHead().forward(x, params, "distilled", 2)
    dx, _ = NormedHead().backward(rng.standard_normal(y.shape), cache)
    assert (dx[:, :2] != 0).all() and (dx[:, 2:] == 0).all()
    assert np.array_equal(NormedHead().forward(x[:, :2], params, "distilled", 2)[0], y)


def test_which_section_reads_which_pool():
    assert head_of(as_config("B/16")) is head and head_of(as_config("B/16", pool="mean")) is head
    assert head_of(as_config("SigLIP-B/16")) == NormedHead(12, "tanh")
