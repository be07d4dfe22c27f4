"""What every section promises, tested in one place: a test class that names a section and a case inherits it all.

Gradients equal finite differences of the forward pass for a random upstream gradient; grads has exactly the keys of
params; nothing that is given is changed; backward may be called again; float32 stays float32; any memory layout does.
"""

import numpy as np
from peaked import copied, relative_error

import minivit
from minivit.trees import flatten, tree_map


class SectionContract:
    """Inherit, set `section` and `options` (keywords of its forward), and give `case`."""

    section = None
    options = {}

    def case(self, rng):
        """(x, params) in float64, with several tokens of several images; params None where there are none."""
        raise NotImplementedError

    def forward(self, x, params):
        return self.section.forward(x, *([] if params is None else [params]), **self.options)

    def backward(self, dy, cache):
        result = self.section.backward(dy, cache)
        return result if isinstance(result, tuple) else (result, {})

    def both(self, x, params, dy):
        """y, and {name: gradient} of x and every parameter."""
        y, cache = self.forward(x, params)
        dx, grads = self.backward(dy, cache)
        return y, {"x": dx, **flatten(grads)}

    def drawn(self):
        """x, params and a random upstream gradient."""
        rng = np.random.default_rng(7)
        x, params = self.case(rng)
        y, _ = self.forward(x, params)
        return x, params, rng.standard_normal(y.shape)

    def test_gradients_equal_finite_differences(self):
        x, params, _ = self.drawn()
        report = minivit.gradient_check(self.section, x, params, **self.options)
        assert {row.name for row in report.rows} == {"x", *flatten(params or {})}
        assert report.worst <= 1e-7 and report.passed, f"\n{report}"

    def test_gradients_have_the_keys_and_shapes_of_what_they_belong_to(self):
        x, params, dy = self.drawn()
        _, gradients = self.both(x, params, dy)
        tensors = {"x": x, **flatten(params or {})}
        assert {name: g.shape for name, g in gradients.items()} == {name: w.shape for name, w in tensors.items()}

    def test_neither_direction_changes_what_it_is_given(self):
        x, params, dy = self.drawn()
        kept = copied({"x": x, "params": params or {}, "dy": dy})
        y, cache = self.forward(x, params)
        kept_y = y.copy()
        self.backward(dy, cache)
        for name, before in flatten(kept).items():
            assert np.array_equal(flatten({"x": x, "params": params or {}, "dy": dy})[name], before), name
        assert np.array_equal(y, kept_y)

    def test_backward_twice_gives_the_same_answer(self):
        x, params, dy = self.drawn()
        _, cache = self.forward(x, params)
        dx, grads = self.backward(dy, cache)
        first = copied({"x": dx, **grads})
        self.backward(2 * dy, cache)
        dx, grads = self.backward(dy, cache)
        for name, gradient in flatten({"x": dx, **grads}).items():
            assert np.array_equal(gradient, flatten(first)[name]), name

    def test_float32_stays_float32(self):
        x, params, dy = self.drawn()
        y64, gradients64 = self.both(x, params, dy)
        narrow = tree_map(np.float32, {"x": x, "params": params or {}, "dy": dy})
        y, gradients = self.both(narrow["x"], None if params is None else narrow["params"], narrow["dy"])
        for name, a, b in [("y", y, y64), *[(name, g, gradients64[name]) for name, g in gradients.items()]]:
            assert a.dtype == np.float32 and b.dtype == np.float64, name
            assert relative_error(a, b) <= 5e-6, name

    def test_any_memory_layout_will_do(self):
        x, params, dy = self.drawn()
        y, gradients = self.both(x, params, dy)
        for layout in (np.asfortranarray, _every_second, _backwards):
            y_other, others = self.both(layout(x), None if params is None else tree_map(layout, params), layout(dy))
            assert relative_error(y_other, y) <= 1e-14
            for name in gradients:
                assert relative_error(others[name], gradients[name]) <= 1e-13, (layout.__name__, name)

    def test_images_do_not_meet(self):
        x, params, dy = self.drawn()
        y, gradients = self.both(x, params, dy)
        y_one, gradients_one = self.both(x[1:2], params, dy[1:2])
        assert relative_error(y_one, y[1:2]) <= 1e-14
        assert relative_error(gradients_one["x"], gradients["x"][1:2]) <= 1e-13


def _every_second(a):
    """The same numbers, every second one of a longer last axis."""
    return np.repeat(a, 2, axis=-1)[..., ::2]


def _backwards(a):
    """The same numbers, stored from last to first."""
    return a.ravel()[::-1].copy()[::-1].reshape(a.shape)


def linear_params(rng, n_in, n_out):
    """weight and bias of a linear map that keeps the size of its input."""
    return {"weight": rng.standard_normal((n_in, n_out)) / np.sqrt(n_in), "bias": rng.standard_normal(n_out)}


def norm_params(rng, D):
    """weight and bias of a LayerNorm, far from 1 and 0."""
    return {"weight": 1 + 0.3 * rng.standard_normal(D), "bias": rng.standard_normal(D)}


def attention_params(rng, D, query_key_std=1.8):
    """qkv and proj; query_key_std is that of the q and k weights in units of 1/√D."""
    qkv = linear_params(rng, D, 3 * D)
    qkv["weight"][:, :2 * D] *= query_key_std
    return {"qkv": qkv, "proj": linear_params(rng, D, D)}


def mlp_params(rng, D, M):
    """fc1 and fc2."""
    return {"fc1": linear_params(rng, D, M), "fc2": linear_params(rng, M, D)}
