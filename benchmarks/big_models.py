"""Peak memory and seconds of loading B/16 to G/14: `python benchmarks/big_models.py [--load-only] [VARIANT …]`.

One at a time, random weights are written as a .safetensors file under timm's names, in a temporary folder that needs
8 GB for G/14. A fresh process loads the file, and then runs one image through the model. The bound on the peak resident
size of loading is 1.1 times the weights' bytes plus 200 MB; the exit status is 1 where one is beyond it.
"""

import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from minivit import VARIANTS
from minivit.checkpoints.timm import expected_shapes

DEFAULT = ("B/16", "L/16", "H/14", "g/14", "G/14")

MEASURE = """
import json, resource, sys, time
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
import minivit
from minivit.samples import CAT
started = time.perf_counter()
model = minivit.load(sys.argv[1])
loading, after_loading = time.perf_counter() - started, peak()
started = time.perf_counter()
if sys.argv[2] == "run":
    probabilities = minivit.forward(CAT, model).probabilities
    assert abs(float(probabilities.sum()) - 1) < 1e-5
print(json.dumps([loading, after_loading, time.perf_counter() - started, peak()]))
"""


def write_random(path, config):
    """Write random float32 weights of a config, tensor by tensor: the writer stays small. Returns their bytes."""
    shapes = expected_shapes(config)
    sizes = {name: 4 * math.prod(shape) for name, shape in shapes.items()}
    header, end = {}, 0
    for name, size in sizes.items():
        header[name] = {"dtype": "F32", "shape": shapes[name], "data_offsets": [end, end + size]}
        end += size
    noise = np.random.default_rng(0).standard_normal(1 << 24, np.float32)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            one = 1 if "norm" in name and name.endswith("weight") else 0
            values = np.resize(noise, math.prod(shape)) * np.float32(0.8 / math.sqrt(shape[-1])) + np.float32(one)
            file.write(values.tobytes())
    return end


def main(arguments):
    """Measure each variant and print a table."""
    what = "load" if "--load-only" in arguments else "run"
    names = [name for name in arguments if name in VARIANTS] or DEFAULT
    print("| variant | weights, MB | load, s | peak while loading, MB | bound, MB | forward, s | peak in all, MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    beyond = False
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.safetensors"
            weights = write_random(path, VARIANTS[name])
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            result = subprocess.run([sys.executable, "-c", MEASURE, str(path), what], stdout=subprocess.PIPE,
                                    encoding="utf-8", check=True, env=environment)
        loading, after_loading, forward, peak = json.loads(result.stdout)
        bound = 1.1 * weights + 200e6
        beyond |= after_loading > bound
        print(f"| {name} | {weights / 1e6:,.0f} | {loading:.1f} | {after_loading / 1e6:,.0f} | {bound / 1e6:,.0f} | "
              f"{forward:.1f} | {peak / 1e6:,.0f} |", flush=True)
    return int(beyond)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
