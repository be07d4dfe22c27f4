"""`minivit info`: versions, the BLAS library and its kernel, and the GPU or why there is none."""

from .arguments import new_command

DESCRIPTION = """\
Print what minivit runs on: its version, Python's and NumPy's, the library that multiplies NumPy's matrices with the
kernel and threads in use, and the GPU and driver that --device cuda would use, or why it would not work.
"""

EXAMPLE = """\
  minivit info
"""


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


def blas_lines():
    """The libraries that multiply NumPy's matrices, and whether another kernel would suit this processor better."""
    from ..parallel import blas
    libraries = blas().info()
    if not libraries:
        return ["a library that threadpoolctl does not know"]
    lines = [f"{library['internal_api']} {library['version']}, kernel {library.get('architecture') or 'unnamed'}, "
             f"{library['num_threads']} thread(s)" for library in libraries]
    if libraries[0]["internal_api"] == "openblas":
        lines += _kernel_advice(libraries[0]["architecture"], _own_choice())
    return lines


def _kernel_advice(in_use, own):
    """What OPENBLAS_CORETYPE does for this processor, given the kernel in use here and OpenBLAS's own choice."""
    from ..blas_kernel import AVX512_KERNEL, VARIABLE, worthwhile
    if own is None:
        return []
    if worthwhile() and own != AVX512_KERNEL:
        return [f"left alone, OpenBLAS takes the {own} kernel, which leaves this processor's AVX-512 unused;",
                "minivit's commands choose better themselves, other programs and notebooks need, before Python starts:",
                f"export {VARIABLE}={AVX512_KERNEL}"]
    if in_use != own:
        return [f"{VARIABLE} has chosen this kernel; left alone, OpenBLAS takes {own}"]
    return [f"OpenBLAS takes this kernel by itself; {VARIABLE} would not help"]


def _own_choice():
    """The kernel that OpenBLAS takes where nothing tells it, seen in a process of its own, or None."""
    import os
    import subprocess
    import sys

    from ..blas_kernel import VARIABLE
    look = "import numpy, threadpoolctl as t; print(next(i['architecture'] for i in t.threadpool_info()))"
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    child = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True)
    return child.stdout.strip() or None


def gpu_lines():
    """CuPy's version, the current GPU and what its driver supports, or why device "cuda" would not work."""
    from ..backend import cupy
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
