"""The stand-in's ElementwiseKernel and ReductionKernel: they read a kernel's C++ text and compute it with NumPy.

They take what minivit writes and nothing else, and refuse what CuPy or the C++ compiler refuses: other arguments than
declared, host arrays, two dtypes, an output of another shape, an unknown name. And what both would take though it is
wrong: a number in the text that is not of the type T, which would turn float32 arithmetic into double.
"""

import re

import numpy as np

from . import strict_array

FUNCTIONS = {name: getattr(np, name) for name in ("exp", "tanh", "sqrt", "absolute", "minimum", "maximum", "copysign",
                                                  "clip", "where")}
T_NUMBER = r"T\(-?[\d.]+(?:e[+-]?\d+)?\)"
OTHER_NUMBER = r"(?<![\w.])[\d.]+"
STEP = re.compile(r"const (T|bool) (v\d+) = (.*);")
STORE = re.compile(r"(r\d+) = (v\d+);")


class ElementwiseKernel:
    """The stand-in for cupy.ElementwiseKernel."""

    def __init__(self, in_params, out_params, operation, name, preamble=""):
        self.inputs, self.outputs = declared(in_params), declared(out_params)
        self.operation, self.name, self.preamble = operation, checked_name(name), preamble

    def __call__(self, *args):
        dtype, hosts = arguments(self, args)
        outputs = hosts[len(self.inputs):]
        shape = np.broadcast_shapes(*(np.shape(h) for h in hosts))
        if any(out.shape != shape for out in outputs):
            raise ValueError(f"{self.name}: out shape is mismatched: {[out.shape for out in outputs]} of {shape}")
        names, stores = dict(zip(self.inputs, hosts)), []
        for line in self.operation.splitlines():
            if match := STEP.fullmatch(line):
                kind, name, text = match.groups()
                names[name] = computed(text, names, dtype)
                if names[name].dtype != (bool if kind == "bool" else dtype):
                    raise TypeError(f"{self.name}: {line} is {names[name].dtype}")
            elif match := STORE.fullmatch(line):
                stores.append((outputs[self.outputs.index(match[1])], names[match[2]]))
            else:
                raise TypeError(f"{self.name}: cannot read {line!r}")
        # An input's memory may be an output's: on a GPU, an element is read before it is written.
        for out, value in [(out, np.array(value)) for out, value in stores]:
            out[...] = value
        strict_array.count_kernel(self.name)


class ReductionKernel:
    """The stand-in for cupy.ReductionKernel: sums and means."""

    def __init__(self, in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, name, preamble=""):
        self.inputs, self.outputs = declared(in_params), declared(out_params)
        self.map_expr, self.name, self.preamble = map_expr, checked_name(name), preamble
        reductions = {"r0 = a": np.sum, "r0 = a / _type_reduce(_in_ind.size() / _out_ind.size())": np.mean}
        if (reduce_expr, identity) != ("a + b", "0") or self.outputs != ["r0"] or post_map_expr not in reductions:
            raise TypeError(f"{name}: cannot read {reduce_expr!r}, {post_map_expr!r}, {identity!r}")
        if "size()" in post_map_expr and "mean" not in name:
            raise TypeError(f"{name}: CuPy's reduction by CUB has no sizes where the name has no mean")
        self.reduce = reductions[post_map_expr]

    def __call__(self, *args, axis=None, keepdims=False):
        dtype, hosts = arguments(self, args)
        hosts = np.broadcast_arrays(*hosts)
        mapped = computed(self.map_expr, dict(zip(self.inputs, hosts)), dtype)
        strict_array.count_kernel(self.name)
        return strict_array.StrictArray(np.asarray(self.reduce(mapped, axis=axis, keepdims=keepdims, dtype=dtype)))


def declared(parameters):
    """ "T a0, T a2" -> ["a0", "a2"]."""
    names = parameters.split(", ")
    if not names or not all(re.fullmatch(r"T [ar]\d+", name) for name in names) or len(set(names)) < len(names):
        raise TypeError(f"cannot read the parameters {parameters!r}")
    return [name[2:] for name in names]


def checked_name(name):
    """The name, as C++ has them."""
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise ValueError(f"Invalid kernel name: {name!r}")
    return name


def arguments(kernel, args):
    """(dtype, [arrays of the host, and numbers]) of a call."""
    expected = kernel.inputs + (kernel.outputs if isinstance(kernel, ElementwiseKernel) else [])
    if len(args) != len(expected):
        raise TypeError(f"{kernel.name} takes {expected}, found {len(args)} arguments")
    for name, arg in zip(expected, args):
        if not isinstance(arg, strict_array.StrictArray) and (name[0] == "r" or type(arg) not in (int, float)):
            raise TypeError(f"{kernel.name} got a {type(arg).__name__} for {name}")
    dtypes = {arg.dtype for arg in args if isinstance(arg, strict_array.StrictArray)}
    if len(dtypes) != 1:
        raise TypeError(f"{kernel.name}: type is mismatched: {dtypes}")
    dtype = dtypes.pop()
    return dtype, [dtype.type(arg) if type(arg) in (int, float) else strict_array.on_host(arg) for arg in args]


def computed(text, names, dtype):
    """The value of a C++ expression, computed with NumPy in the dtype."""
    if re.search(OTHER_NUMBER, re.sub(T_NUMBER, "", text)):
        raise TypeError(f"a number that is not of the type T: {text}")
    with np.errstate(all="ignore"):                                     # a GPU does not warn
        return eval(text, {"__builtins__": {}, "T": dtype.type, **FUNCTIONS}, names)
