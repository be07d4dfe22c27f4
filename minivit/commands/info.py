"""`minivit info`: versions, the BLAS library and its kernel, and the GPU or why there is none."""

from .arguments import new_command
from .outputs import add_json, check_output, tell_json

DESCRIPTION = """\
Print what minivit runs on: its version, Python's and NumPy's, the library that multiplies NumPy's matrices with the
kernel and threads in use, what that and other kernels compute a second here (it takes a second to measure), and the
GPU and driver that --device cuda would use, or why it would not work.
"""

EXAMPLE = """\
  minivit info
  minivit info --json machine.json
"""


# OpenBLAS's kernels that use AVX-512.
AVX512_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")


def add_to(commands):
    """Add `info` to argparse's sub-parsers."""
    parser = new_command(commands, "info", run, "versions, BLAS kernel, GPU and driver", DESCRIPTION, EXAMPLE)
    add_json(parser, "what was found")


def run(options):
    """Print a line or two a subject."""
    from .machine import blas_libraries, machine
    check_output(options.json)
    libraries = blas_libraries()
    found = machine() | {"blas": libraries, "kernels": kernels(libraries), "gpu": gpu()}
    if options.json != "-":
        _print(found)
    tell_json(options, found)


def _print(found):
    print(f"minivit     {found['minivit']}")
    print(f"Python      {found['python']} on {found['system']}")
    print(f"NumPy       {found['numpy']}")
    for subject, lines in (("BLAS", blas_lines(found["blas"], found["kernels"])), ("GPU", gpu_lines(found["gpu"]))):
        for line in lines:
            print(f"{subject:11} {line}")
            subject = ""


def kernels(libraries, seconds=0.25):
    """How fast OpenBLAS's kernels are here: {"in_use", "own_choice", "rates": {kernel: FLOP a second}}.

    {"error": why} where that cannot be measured, None where NumPy uses another library. seconds: a kernel.
    """
    if not libraries or libraries[0]["name"] != "openblas":
        return None
    from .kernel_rates import kernel_rates
    in_use = libraries[0]["kernel"]
    try:
        rates, own = kernel_rates(in_use, seconds)
    except (OSError, RuntimeError) as error:
        return {"error": str(error)}
    return {"in_use": in_use, "own_choice": own, "rates": rates}


def blas_lines(libraries, kernels):
    """The libraries that multiply NumPy's matrices, how fast each kernel is here, and which would suit better."""
    if not libraries:
        return ["a library that threadpoolctl does not know"]
    lines = [f"{library['name']} {library['version']}, kernel {library['kernel'] or 'unnamed'}, "
             f"{library['threads']} thread(s)" for library in libraries]
    if kernels is None:
        return lines
    if "error" in kernels:
        return [*lines, f"how fast it is could not be measured: {kernels['error']}"]
    in_use, own = kernels["in_use"], kernels["own_choice"]
    return [*lines, _rates_line(kernels["rates"], in_use, own), *_kernel_advice(in_use, own)]


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


def gpu():
    """The current GPU: {"name", "memory" in bytes, "driver_cuda", "cupy", "cuda"}, the latter's versions.

    {"error": why} where device "cuda" would not work.
    """
    from ..engine.devices import cupy
    try:
        cupy = cupy()
    except RuntimeError as error:
        return {"error": str(error)}
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return {"name": properties["name"].decode(), "memory": int(properties["totalGlobalMem"]),
            "driver_cuda": _version(runtime.driverGetVersion()), "cupy": cupy.__version__,
            "cuda": _version(runtime.runtimeGetVersion())}


def gpu_lines(gpu):
    """CuPy's version, the GPU and what its driver supports, or why device "cuda" would not work."""
    if "error" in gpu:
        return [f"not usable: {gpu['error']}"]
    return [f"{gpu['name']}, {gpu['memory'] / 1e9:.1f} GB of memory",
            f"driver for CUDA {gpu['driver_cuda']}; CuPy {gpu['cupy']} with CUDA {gpu['cuda']}"]


def _version(number):
    """12040 -> "12.4", as CUDA numbers its versions."""
    return f"{number // 1000}.{number % 1000 // 10}"
