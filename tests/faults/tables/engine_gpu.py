"""Faults in the GPU's kernels, all seen without a GPU: recording, source, order of reading and writing."""

from ..fault import Fault as F

FAULTS = [
    F("numbers of a kernel's source are doubles", "engine/gpu/recording", "f'T({float(x)!r})'", "f'{float(x)!r}'"),
    F("a branch on a value is taken", "engine/gpu/recording",
      "raise TypeError('a kernel cannot be asked for a number while it is made')", "return True"),
    F("comparisons are numbers", "engine/gpu/recording", "'bool' if name == 'less_equal' else 'T'", "'T'"),
    F("an array of another shape is written", "engine/gpu/recording",
      "(new.shape, new.kind) != (old.shape, old.kind)", "False"),
    F("inf stands in a kernel's source", "engine/gpu/recording", "not math.isfinite(x)", "False"),
    F("a kernel's mean is a sum", "engine/gpu/kernel_source",
      "'r0 = a / _type_reduce(_in_ind.size() / _out_ind.size())'", "'r0 = a'"),
    F("results are stored before all is read", "engine/gpu/kernel_source", "'\\n'.join(lines + stores)",
      "'\\n'.join(stores + lines)"),
    F("a step twice in a kernel", "engine/gpu/kernel_source", "value not in names", "True"),
    F("kernels are made anew for every call", "engine/gpu/kernels", "key not in _programs", "True"),
    F("a float32 kernel serves float64", "engine/gpu/kernels", "a.dtype.char", "'T'"),
    F("a kernel for two arrays serves one twice", "engine/gpu/kernels", "arrays.index(id(a))", "0"),
    F("a GPU's column sums are means", "engine/column_sums", "x = x.sum(axis=-2)", "x = x.mean(axis=-2)"),
    F("an array is read after it is overwritten", "engine/gpu/kernels", "del _1[_2[place]]", "pass"),
    F("wide arrays are written before narrow ones", "engine/gpu/kernels", "sorted(_1, key=math.prod)",
      "sorted(_1, key=math.prod, reverse=True)"),
    F("defaults are compiled in", "engine/gpu/kernels", "any(default is not None for default in _1)", "False"),
    F("an array that stands twice is two", "engine/gpu/kernels", "first < place", "first < 0"),
    F("a reduction's axis is lost", "engine/gpu/kernels",
      "getattr(values[place], name)(axis=axis, keepdims=keepdims)",
      "getattr(values[place], name)(axis=None, keepdims=keepdims)"),
]
