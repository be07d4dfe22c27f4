"""What each BLAS kernel computes a second on this machine: a few products of ViT-B's shape, a process a kernel.

OpenBLAS takes its kernel when NumPy is imported, so another kernel needs another process.
"""

import json
import os
import statistics
import subprocess
import sys

from ..engine.blas_kernel import AVX512_KERNEL, VARIABLE, worthwhile

MEASURE = """
import json, statistics, sys, time
import numpy as np
import threadpoolctl
rng = np.random.default_rng(0)
tokens, weight = rng.standard_normal((788, 768), np.float32), rng.standard_normal((768, 3072), np.float32)
out = tokens @ weight
times, end = [], time.perf_counter() + float(sys.argv[1])
while len(times) < 3 or time.perf_counter() < end:
    started = time.perf_counter()
    np.matmul(tokens, weight, out=out)
    times.append(time.perf_counter() - started)
kernel = next((i.get("architecture") for i in threadpoolctl.threadpool_info() if i["user_api"] == "blas"), None)
print(json.dumps([kernel, 2 * tokens.size * weight.shape[1] / statistics.median(times)]))
"""


def kernel_rates(in_use, seconds=0.25, processes=1):
    """({kernel: FLOP a second}, OpenBLAS's own choice): of that, of the kernel in use here, and of the AVX-512 kernel
    where this processor has a use for it. Each is measured for so many seconds in each of so many processes.

    Raises OSError or RuntimeError where no process can be started for it.
    """
    own, rate = _rate(None, seconds, processes)
    rates = {own: rate}
    if in_use not in rates:
        rates.update([_rate(os.environ.get(VARIABLE), seconds, processes)])
    if worthwhile() and AVX512_KERNEL not in rates:
        rates.update([_rate(AVX512_KERNEL, seconds, processes)])
    return rates, own


def _rate(value, seconds, processes):
    """(kernel, FLOP a second) with OPENBLAS_CORETYPE set to `value`, or unset for None: the median process's rate."""
    kernels, rates = zip(*[_rate_of_process(value, seconds) for _ in range(processes)])
    return kernels[0], statistics.median(rates)


def _rate_of_process(value, seconds):
    """(kernel, FLOP a second of the median product) in one process."""
    environment = {name: text for name, text in os.environ.items() if name != VARIABLE}
    if value is not None:
        environment[VARIABLE] = value
    child = subprocess.run([sys.executable, "-c", MEASURE, str(seconds)], env=environment, capture_output=True,
                           encoding="utf-8")
    if child.returncode:
        raise RuntimeError(f"the matrix products could not be measured: {child.stderr.strip()[-200:]}")
    return tuple(json.loads(child.stdout))
