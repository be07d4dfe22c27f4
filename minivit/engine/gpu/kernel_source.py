"""The source of a GPU kernel, written from the values that it is to compute: see `kernels.py`.

An argument of a kernel is called a and its place among all arguments, an output r and its place. All arrays and numbers
are of the type T, float or double, and so is every number in the source: a float32 kernel computes nothing in double.
"""

from ..devices import cupy

# What C++ lacks of the recorded functions, as NumPy has it: a NaN stays a NaN.
PREAMBLE = """
template <typename T> __device__ T absolute(T x) { return fabs(x); }
template <typename T> __device__ T minimum(T x, T y) { return x < y || x != x ? x : y; }
template <typename T> __device__ T maximum(T x, T y) { return x > y || x != x ? x : y; }
template <typename T> __device__ T clip(T x, T low, T high) { return minimum(maximum(x, low), high); }
template <typename T> __device__ T where(bool condition, T x, T y) { return condition ? x : y; }
"""
# Where CuPy reduces by CUB, it replaces in this text the output's name, which must be no part of another word, and the
# two sizes, if the kernel's name has "mean" in it.
RESULTS = {"sum": "r0 = a", "mean": "r0 = a / _type_reduce(_in_ind.size() / _out_ind.size())"}


def elementwise(name, assigned, places):
    """The kernel that writes assigned, {place: value} of one shape, each step of it in a line of its own.

    places: {value: place} of what is there already. Returns CuPy's kernel and the places of its inputs.
    """
    names, lines, inputs = {}, [], []

    def name_of(value):
        if not value.operands and value not in places:
            return number(value)
        if value not in names:
            if value in places:
                inputs.append(places[value])
                text = f"a{inputs[-1]}"
            else:
                text = value.text.format(*[name_of(operand) for operand in value.operands])
            names[value] = f"v{len(names)}"
            lines.append(f"const {'bool' if value.kind == 'bool' else 'T'} {names[value]} = {text};")
        return names[value]

    # Outputs come last: an output may be an input's memory.
    stores = [f"r{place} = {name_of(value)};" for place, value in assigned.items()]
    kernel = cupy().ElementwiseKernel(parameters("a", inputs), parameters("r", assigned), "\n".join(lines + stores),
                                      name, preamble=PREAMBLE)
    return kernel, inputs


def reduction(name, value, places):
    """The kernel of a sum or mean of what has yet to be computed. Returns what `elementwise` does."""
    inputs = []

    def expression(value):
        if value not in places:
            return value.text.format(*map(expression, value.operands)) if value.operands else number(value)
        if places[value] not in inputs:
            inputs.append(places[value])
        return f"a{places[value]}"

    kind, operand = value.reduction[0], *value.operands
    if kind not in RESULTS:
        raise TypeError(f"a {kind} is taken of an array, not of what has yet to be computed from it")
    mapped = expression(operand)
    kernel = cupy().ReductionKernel(parameters("a", inputs), "T r0", mapped, "a + b", RESULTS[kind], "0",
                                    f"{name}_{kind}", preamble=PREAMBLE)
    return kernel, inputs


def number(value):
    """A number of the source."""
    if not value.text:
        raise TypeError("an array is read after another kernel has written to it")
    return value.text


def parameters(letter, places):
    """CuPy's declaration: "T a0, T a2"."""
    return ", ".join(f"T {letter}{place}" for place in places)
