"""Record forty draws of the comparison of chapter 18 (nine minutes): python notebooks/record_draws.py

The chapter's own cells run, with forty draws instead of two. How many of the sixty pictures each way names right goes
into recorded/draws.npz. Run it again when the packaged model or a rate of the chapter changes.
"""

import json
from pathlib import Path

import matplotlib
import numpy as np

NOTEBOOKS = Path(__file__).parent
FILE = NOTEBOOKS / "recorded" / "draws.npz"
DRAWS, PICTURES = 40, 60


def shares():
    """{way: shares right (draws, steps)}: the chapter's `ways`, its cells run up to the one that fills it."""
    cells = json.loads((NOTEBOOKS / "18_fine_tuning.ipynb").read_text("utf-8"))["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(line for line in cell["source"] if not line.startswith("%")), names)
            if "REPETITIONS" in names:
                names["REPETITIONS"] = DRAWS
            if "ways" in names:
                return names["ways"]


if __name__ == "__main__":
    matplotlib.use("Agg")
    np.savez_compressed(FILE, **{way: np.rint(PICTURES * found).astype(np.uint8) for way, found in shares().items()})
