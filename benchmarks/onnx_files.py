"""ONNX files of a case, for the libraries that read them."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from .process import environment

EXPORT = "benchmarks.onnx_export"


def onnx_path(weights, images):
    """Where the ONNX file of these weights, for so many images at once, stands."""
    return Path(weights).with_suffix(f".{images}.onnx")


def export(case, weights, threads):
    """Write the case's ONNX file if it is not there, in a process of its own. Returns None, or why there is none."""
    if onnx_path(weights, case.images).exists():
        return None
    child = subprocess.run([sys.executable, "-m", EXPORT, str(weights), json.dumps(asdict(case.config)),
                            str(case.images), str(onnx_path(weights, case.images))],
                           env=environment(threads, {}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           encoding="utf-8", errors="replace")
    if child.returncode == 0:
        return None
    said = [line.strip() for line in child.stderr.splitlines() if line.strip()]
    return f"no ONNX file: {said[-1] if said else 'the export failed'}"
