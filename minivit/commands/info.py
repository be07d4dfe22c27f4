"""`minivit info`: versions, the BLAS library and its kernel, and the GPU or why there is none."""

from .arguments import new_command

DESCRIPTION = """\
Print what minivit runs on: its version, Python's and NumPy's, the library that multiplies NumPy's matrices with the
kernel and threads in use, what that and other kernels compute a second here (it takes a second to measure), and the
GPU and driver that --device cuda would use, or why it would not work.
"""

EXAMPLE = """\
  minivit info
"""


# OpenBLAS's kernels that use AVX-512.
AVX512_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


def add_to(commands):
    """Add `info` to argparse's sub-parsers."""
    new_command(commands, "info", run, "versions, BLAS kernel, GPU and driver", DESCRIPTION, EXAMPLE)


def run(options):
    """Print a line or two a subject."""
    import platform

    import numpy as np

    from .. import __version__
    print(f"minivit     {__version__}")
    print(f"Python      {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(f"NumPy       {np.__version__}")
    for subject, lines in (("BLAS", blas_lines()), ("GPU", gpu_lines())):
        for line in lines:
            print(f"{subject:11} {line}")
            subject = ""


def blas_lines(seconds=0.25):
    """The libraries that multiply NumPy's matrices, how fast each kernel is here, and which would suit better.

    seconds: of measuring a kernel.
    """
    from ..engine.blas_threads import blas
    libraries = blas().info()
    if not libraries:
        return ["a library that threadpoolctl does not know"]
    lines = [f"{library['internal_api']} {library['version']}, kernel {library.get('architecture') or 'unnamed'}, "
             f"{library['num_threads']} thread(s)" for library in libraries]
    if libraries[0]["internal_api"] == "openblas":
        from .kernel_rates import kernel_rates
        in_use = libraries[0]["architecture"]
        try:
            rates, own = kernel_rates(in_use, seconds)
        except (OSError, RuntimeError) as error:
            return [*lines, f"how fast it is could not be measured: {error}"]
        lines += [_rates_line(rates, in_use, own), *_kernel_advice(in_use, own)]
    return lines


def _rates_line(rates, in_use, own):
    """What each kernel computes a second, the one in use first."""
    said = {in_use: ["in use"]}
    said.setdefault(own, []).append("OpenBLAS's own choice")
    kernels = sorted(rates, key=lambda kernel: kernel != in_use)
    return "measured now, true while nothing else runs: " + "; ".join(
        f"{kernel} {rates[kernel] / 1e9:.0f} GFLOP/s" + (f" ({', '.join(said[kernel])})" if kernel in said else "")
        for kernel in kernels)


def _kernel_advice(in_use, own):
    """What OPENBLAS_CORETYPE does for this processor, given the kernel in use here and OpenBLAS's own choice."""
    from ..engine.blas_kernel import AVX512_KERNEL, VARIABLE, worthwhile
    if worthwhile() and own not in AVX512_KERNELS:
        return [f"left alone, OpenBLAS takes the {own} kernel, which leaves this processor's AVX-512 unused;",
                "minivit's commands choose better themselves; a REPL or notebook does before it imports NumPy, with",
                "import minivit.engine.blas_kernel; minivit.engine.blas_kernel.choose()",
                "and every program does that is started after",
                f"export {VARIABLE}={AVX512_KERNEL}"]
    if in_use != own:
        return [f"{VARIABLE} has chosen this kernel; left alone, OpenBLAS takes {own}"]
    return [f"OpenBLAS takes this kernel by itself; {VARIABLE} would not help"]


def gpu_lines():
    """CuPy's version, the current GPU and what its driver supports, or why device "cuda" would not work."""
    from ..engine.devices import cupy
    try:
        cupy = cupy()
    except RuntimeError as error:
        return [f"not usable: {error}"]
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return [f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 1e9:.1f} GB of memory",
            f"driver for CUDA {_version(runtime.driverGetVersion())}; "
            f"CuPy {cupy.__version__} with CUDA {_version(runtime.runtimeGetVersion())}"]


def _version(number):
    """12040 -> "12.4", as CUDA numbers its versions."""
    return f"{number // 1000}.{number % 1000 // 10}"
