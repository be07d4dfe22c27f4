"""The chapters as a JupyterLite site, which runs them in the reader's browser: python lite/build.py FOLDER.

Each notebook is copied with one cell more at its start, which installs minivit and ipywidgets from wheels that the site
carries; Python itself, NumPy, Pillow, Matplotlib and scikit-learn are Pyodide's distribution, which the browser fetches
from its own address, or from the site where JUPYTERLITE_PYODIDE_URL names the distribution's archive. Needs the
packages in lite/requirements.txt. tests/test_lite.py checks the notebooks; docs/browser.md says what a browser has run.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARRIED = ("comm", "ipywidgets", "jupyterlab_widgets")           # pure Python that Pyodide's distribution lacks
INSTALL = "%pip install -q minivit ipywidgets scikit-learn"


def with_install(notebook):
    """The notebook, a dict, with the installing cell first and without stored outputs, which the browser makes."""
    first = {"cell_type": "code", "execution_count": None, "id": "install", "metadata": {}, "outputs": [],
             "source": [INSTALL]}
    cells = [{**cell, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
             for cell in notebook["cells"]]
    return {**notebook, "cells": [first, *cells]}


def contents(folder):
    """Write the notebooks as they go into the site; their links to pictures and to each other keep working."""
    (folder / "solutions").mkdir()
    for path in sorted((ROOT / "notebooks").rglob("[0-9][0-9]_*.ipynb")):
        notebook = with_install(json.loads(path.read_text(encoding="utf-8")))
        target = folder / path.relative_to(ROOT / "notebooks")
        target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in ("pictures", "recorded"):
        shutil.copytree(ROOT / "notebooks" / name, folder / name, dirs_exist_ok=True)


def build(output):
    """Build wheel, contents and site."""
    with tempfile.TemporaryDirectory() as temporary:
        wheels, notebooks, work = (Path(temporary, name) for name in ("wheels", "notebooks", "work"))
        for folder in (wheels, notebooks, work):
            folder.mkdir()
        subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, ROOT, *CARRIED],
                       check=True)
        contents(notebooks)
        subprocess.run([sys.executable, "-m", "jupyter", "lite", "build", "--lite-dir", work, "--contents", notebooks,
                        *(f"--piplite-wheels={wheel}" for wheel in wheels.glob("*.whl")), "--output-dir", output],
                       check=True, cwd=work)


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
