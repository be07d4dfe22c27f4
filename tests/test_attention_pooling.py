import math

import numpy as np
from peaked import relative_error
from section_contract import SectionContract, linear_params, mlp_params, norm_params

from minivit import attention_pooling, gelu, layer_norm

D, H, T, M = 6, 2, 5, 10


class TestAttentionPooling(SectionContract):
    section = attention_pooling
    options = {"num_heads": H, "gelu": "tanh"}

    def case(self, rng):
        kv = linear_params(rng, D, 2 * D)
        kv["weight"][:, :D] *= 1.8
        return rng.standard_normal((3, T, D)), {
            "latent": 1.5 * rng.standard_normal((1, 1, D)), "q": linear_params(rng, D, D), "kv": kv,
            "proj": linear_params(rng, D, D), "norm": norm_params(rng, D), "mlp": mlp_params(rng, D, M)}


def test_by_elements(rng):
    """One query for each head, scores by single numbers; then the MLP with its own residual connection."""
    x, params = TestAttentionPooling().case(rng)
    d = D // H
    query = params["latent"][0, 0] @ params["q"]["weight"] + params["q"]["bias"]
    for b in range(len(x)):
        kv = x[b] @ params["kv"]["weight"] + params["kv"]["bias"]
        merged = np.zeros(D)
        for h in range(H):
            mine = slice(h * d, (h + 1) * d)
            e = [math.exp(sum(query[mine] * kv[t, mine]) / math.sqrt(d)) for t in range(T)]
            merged[mine] = sum(e[t] / sum(e) * kv[t, D:][mine] for t in range(T))
        p = merged @ params["proj"]["weight"] + params["proj"]["bias"]
        normed, _ = layer_norm.forward(p, params["norm"])
        hidden, _ = gelu.forward(normed @ params["mlp"]["fc1"]["weight"] + params["mlp"]["fc1"]["bias"], "tanh")
        expected = p + hidden @ params["mlp"]["fc2"]["weight"] + params["mlp"]["fc2"]["bias"]
        y, _ = attention_pooling.forward(x[b:b + 1], params, H, gelu="tanh")
        assert relative_error(y[0], expected) <= 1e-13


def test_eps_is_the_norms(rng):
    x, params = TestAttentionPooling().case(rng)
    params["proj"]["weight"] *= 1e-3
    params["proj"]["bias"] *= 1e-3
    small, large = (attention_pooling.forward(x, params, H, eps=eps)[0] for eps in (1e-6, 1e-3))
    assert relative_error(small, large) > 1e-2


def test_patches_in_another_order_give_the_same_vector(rng):
    x, params = TestAttentionPooling().case(rng)
    y, _ = attention_pooling.forward(x, params, H)
    assert relative_error(attention_pooling.forward(x[:, ::-1], params, H)[0], y) <= 1e-14
