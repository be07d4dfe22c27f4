import numpy as np
from peaked import relative_error
from section_contract import SectionContract, linear_params

from minivit import distillation

D, K = 6, 4


class TestTwoHeads(SectionContract):
    section = distillation

    def case(self, rng):
        return rng.standard_normal((3, 2, D)), {"head": linear_params(rng, D, K), "head_dist": linear_params(rng, D, K)}


class TestWithoutClasses(SectionContract):
    section = distillation

    def case(self, rng):
        return rng.standard_normal((3, 2, D)), {}


def test_the_mean_of_both_heads(rng):
    y, params = TestTwoHeads().case(rng)
    logits, _ = distillation.forward(y, params)
    each = [y[:, i] @ params[name]["weight"] + params[name]["bias"] for i, name in enumerate(("head", "head_dist"))]
    assert relative_error(logits, (each[0] + each[1]) / 2) <= 1e-14


def test_without_classes_the_mean_of_both_tokens(rng):
    y, params = TestWithoutClasses().case(rng)
    assert np.allclose(distillation.forward(y, params)[0], (y[:, 0] + y[:, 1]) / 2, rtol=1e-15)
