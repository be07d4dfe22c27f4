"""Faults in checking: gradients, and the comparison with a reference."""

from ..fault import Fault as F

FAULTS = [
    F("the gradient check always says yes", "checking/gradient_checking", "bool(error <= _1)", "True"),
    F("the gradient check's upstream gradient is ones", "checking/gradient_checking", "_1.standard_normal(y.shape)",
      "np.ones(y.shape)"),
    F("directions that are all alike", "checking/gradient_checking", "rng.standard_normal((directions, w.size))",
      "np.ones((directions, w.size))"),
    F("any gradient is zero", "checking/gradient_checking", "_1 <= ZERO * largest and _2 <= 1e-9 * largest", "True"),
    F("three points for five", "checking/gradient_checking", "8 * _1 - _2", "6 * _1"),
    F("the tensor is not put back", "checking/gradient_checking", "w[...] = kept", "pass"),
    F("names of gradients do not matter", "checking/gradient_checking", "sorted(tensors) != sorted(gradients)",
      "False"),
    F("one row that passes is enough", "checking/gradient_checking", "all(_1.passed for _1 in _2)",
      "any(_1.passed for _1 in _2)"),
]
