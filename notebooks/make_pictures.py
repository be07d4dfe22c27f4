"""The small pictures of README.md, taken from the notebooks' own figures: python notebooks/make_pictures.py [NAME …]

A picture is the figure that says most about its notebook; FIGURES tells which one that is, counted from 0. The notebook
is run for it, with all figures drawn as pixels; what it stores is left alone.
"""

import base64
import io
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent
FIGURES = {"00_tour": 0, "01_receptive_field": 0, "02_patches": 0, "03_cls_token": 0, "04_positions": 3,
           "05_attention": 2, "06_mlp": 0, "07_layers": 0, "08_head": 1, "09_forward": 1, "10_backward": 7,
           "11_training": 1, "12_what_it_sees": 10, "13_quadratic_cost": 0, "14_variants": 2,
           "15_reference_weights": 0, "16_gpu": 0, "17_many_images": 1, "18_fine_tuning": 1,
           "19_relatives": 3}
WIDTH = 480                                                             # pixels
COLOURS = 128


def figures(path):
    """The figures of a notebook, in order, as PIL images."""
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        for form in ("svg", "retina"):
            cell.source = cell.source.replace(f'figure_format = "{form}"', 'figure_format = "png"')
    here = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    return [Image.open(io.BytesIO(base64.b64decode(o.data["image/png"]))) for o in outputs
            if "image/png" in o.get("data", {})]


def thumbnail(figure):
    """A figure at WIDTH pixels, with a palette, for a small file."""
    height = round(figure.height * WIDTH / figure.width)
    small = figure.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    return small.quantize(COLOURS, dither=Image.Dither.NONE)


def main(names):
    """Write pictures/<notebook>.png for the notebooks of these names, for all by default."""
    (FOLDER / "pictures").mkdir(exist_ok=True)
    for name in names or FIGURES:
        picture = figures(FOLDER / f"{name}.ipynb")[FIGURES[name]]
        thumbnail(picture).save(FOLDER / "pictures" / f"{name}.png", optimize=True)
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
