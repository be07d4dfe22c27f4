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
    # comparison
    F("steps are judged by all that came before", "checking/rows", "relative(made[name], theirs)",
      "relative(ours[name], theirs)"),
    F("gradients are judged whatever the forward pass", "checking/rows", "row.relative if forward_agrees else 0.0",
      "row.relative"),
    F("each step starts from our own input", "checking/evidence",
      "variations.steps(self.model, self.x, found.and_also(variation), given=self.given)",
      "variations.steps(self.model, self.x, found.and_also(variation))"),
    F("rounding is not measured", "checking/evidence", "max(least, ROOM * _1)", "least",
      tests="tests/checking/test_port_mistakes.py::test_sharp_attention_in_float32_is_rounding[True]"),
    F("float32 in an array of float64 is float64", "checking/reference", "narrow and told == 'float64'", "False"),
    F("one cause is all", "checking/causes", "MOST_CAUSES = 5", "MOST_CAUSES = 1"),
    F("the next cause is looked for without the first", "checking/causes",
      "self.found = self.found.and_also(candidate)", "pass"),
    F("a cause need not keep right steps right", "checking/causes", "-elsewhere(*_1)", "0"),
    F("an estimate of eps agrees with itself", "checking/eps_fit", "max(np.sqrt(_1) / weight.sum(), _2)",
      "np.sqrt(_1) / weight.sum()"),
    F("eps is named whatever rounding hides", "checking/eps_fit", "4 * error + 0.0001 * abs(mean)", "0.0"),
    F("bfloat16 has TF32's bits", "checking/roundings", "{'float32': 24, 'TF32 or float16': 11, 'bfloat16': 8}",
      "{'float32': 24, 'TF32 or float16': 8, 'bfloat16': 11}"),
    F("any number is on the grid of 8 bits", "checking/pixel_recipes", "_1 < 0.005", "_1 < 1.0"),
    F("colours are never turned", "checking/pixel_recipes", "(1, -1)", "(1,)"),
    F("gradients by one factor are told by none", "checking/gradients", "abs(factor - 1) <= _1", "True"),
    # the verdict on an exercise
    F("one row that passes is enough", "checking/gradient_checking", "all(_1.passed for _1 in _2)",
      "any(_1.passed for _1 in _2)"),
]
