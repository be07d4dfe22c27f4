"""The small pictures of README.md, taken from the notebooks' own figures: python notebooks/make_pictures.py

A picture is the figure that says most about its notebook; FIGURES tells which one that is, counted from 0. Run it again
after the notebooks have been run again.
"""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

FOLDER = Path(__file__).parent
FIGURES = {"00_tour": 1, "01_receptive_field": 1, "02_patches": 1, "03_cls_token": 0, "04_positions": 0,
           "05_attention": 2, "06_mlp": 0, "07_layers": 0, "08_head": 0, "09_forward": 1, "10_backward": 6,
           "11_training": 0, "12_what_it_sees": 6, "13_quadratic_cost": 0, "14_variants": 1,
           "15_reference_weights": 0, "16_gpu": 0}
WIDTH = 480                                                             # pixels
COLOURS = 128


def figures(path):
    """The PNG figures of a notebook, in order, as PIL images."""
    outputs = [o for cell in nbformat.read(path, 4).cells if cell.cell_type == "code" for o in cell.outputs]
    return [Image.open(io.BytesIO(base64.b64decode(o.data["image/png"]))) for o in outputs
            if "image/png" in o.get("data", {})]


def thumbnail(figure):
    """A figure at WIDTH pixels, with a palette, for a small file."""
    height = round(figure.height * WIDTH / figure.width)
    small = figure.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
    return small.quantize(COLOURS, dither=Image.Dither.NONE)


def main():
    """Write pictures/<notebook>.png for each notebook that has its figure."""
    (FOLDER / "pictures").mkdir(exist_ok=True)
    for name, number in FIGURES.items():
        path = FOLDER / f"{name}.ipynb"
        found = figures(path) if path.exists() else []
        if len(found) <= number:
            print(f"{name}: no figure {number}, run the notebook first")
            continue
        thumbnail(found[number]).save(FOLDER / "pictures" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
