"""The BLAS kernel: NumPy's OpenBLAS may choose AVX2 code on an AMD processor that has AVX-512.

OpenBLAS reads OPENBLAS_CORETYPE when NumPy is imported, so the choice is made before that. Nothing here imports NumPy.

    python -m minivit.engine.blas_kernel jupyter lab        run any program, and what it starts, with the choice made
"""

import os
import subprocess
import sys

VARIABLE = "OPENBLAS_CORETYPE"
AVX512_KERNEL = "SkylakeX"
NEEDED = {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"}


def choose():
    """Set the kernel for this process where that helps: an AMD processor with AVX-512, NumPy not yet imported.

    A value that the user has set stays. Returns the value in force, or None for OpenBLAS's own choice.
    """
    if VARIABLE not in os.environ and "numpy" not in sys.modules and worthwhile():
        os.environ[VARIABLE] = AVX512_KERNEL
    return os.environ.get(VARIABLE)


def worthwhile():
    """Whether this is an AMD processor with all of AVX-512 that the kernel uses. Linux alone tells; elsewhere False."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return False
    about = {key.strip(): value.strip() for key, value in lines.items()}
    return about.get("vendor_id") == "AuthenticAMD" and NEEDED <= set(about.get("flags", "").split())


if __name__ == "__main__":
    choose()
    sys.exit(subprocess.run(sys.argv[1:], check=False).returncode if sys.argv[1:] else __doc__)
