"""What the measurements were made on."""

import os
import platform
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from .. import __version__

PROCESSORS = Path("/sys/devices/system/cpu")


def machine():
    """Processor, cores, system, versions, date, as JSON-ready values."""
    return {"processor": processor(), "cores": len(cores()), "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(), "numpy": np.__version__, "minivit": __version__,
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d")}


def processor():
    """The processor's model, as the system names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def cores():
    """The processor cores that this process may use, by number."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores_apart():
    """`cores`, those first that are no second thread of a core before them, where the system tells."""
    first, second, seen = [], [], set()
    for number in cores():
        try:
            core = (PROCESSORS / f"cpu{number}" / "topology" / "thread_siblings_list").read_text("utf-8")
        except OSError:
            core = number
        (second if core in seen else first).append(number)
        seen.add(core)
    return first + second


def blas_libraries():
    """The BLAS libraries in this process that threadpoolctl knows: [{"name", "version", "kernel", "threads"}]."""
    from ..engine.blas_threads import blas as libraries
    return [{"name": library["internal_api"], "version": library["version"], "kernel": library.get("architecture"),
             "threads": library["num_threads"]} for library in libraries().info()]


def blas():
    """NumPy's BLAS in this process: {"name", "version", "kernel", "threads"}, as far as it is known."""
    return next(iter(blas_libraries()), {"name": "unknown", "version": "", "kernel": None, "threads": 1})
