"""What objects print: a screen of text in a terminal, a table in a notebook, never all the numbers.

A screen is a title, a table and a note: `as_text` and `as_html` set the same one. Text is plain ASCII, so that every
terminal has the letters.
"""

from dataclasses import dataclass
from html import escape
from itertools import islice

import numpy as np

from ..counting import macs, parameter_count
from ..errors import plain
from ..trees import flatten
from ..variants import variant_name
from .relatives import further_parts, other_conventions

MOST_IMAGES = 4                 # of a batch, with their five likeliest classes
MOST_BLOCKS = 12


@dataclass
class Screen:
    """title, heads, rows, note: texts. The first `left` columns are set to the left, the others to the right."""

    title: str
    heads: tuple = ()
    rows: list = ()
    left: int = 1
    note: str = ""

    def as_text(self):
        """Lines for a terminal."""
        table = [self.heads, *self.rows] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ["  ".join(f"{cell:{'<' if i < self.left else '>'}{width}}"
                           for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in table]
        return "\n".join(filter(None, [self.title, *lines, self.note]))

    def as_html(self):
        """The same as HTML, for a notebook."""
        def line(cells, tag):
            return "<tr>" + "".join(f'<{tag} style="text-align: {"left" if i < self.left else "right"}">{escape(cell)}'
                                    f"</{tag}>" for i, cell in enumerate(cells)) + "</tr>"

        table = "".join([line(self.heads, "th"), *(line(row, "td") for row in self.rows)])
        return (f"<div><strong>{escape(self.title)}</strong>" + f"<table>{table}</table>" * bool(self.rows)
                + f"<p>{escape(self.note)}</p>" * bool(self.note) + "</div>")


def shape_of(array):
    """(1, 65, 128) -> "1 x 65 x 128"."""
    return " x ".join(map(str, array.shape))


def prediction_screen(prediction):
    """The five likeliest classes of the image, or of each of the first images of a batch."""
    model, batch = prediction.model, prediction.is_batch
    height, width = model.config.height_width
    title = f"Prediction by {plain(model.name or 'a ViT')}, {height} x {width} pixels"
    if not model.config.num_classes:
        size = prediction.logits.shape[-1]
        return Screen(f"{title}: a representation of {size} numbers, the model has no head")
    rows = [(*[f"image {i}"] * batch, plain(label), f"{p:6.1%}")
            for i, member in enumerate(islice(prediction, MOST_IMAGES)) for label, p in member.top()]
    more = len(prediction) - MOST_IMAGES
    return Screen(title + (f", {len(prediction)} images" if batch else ""),
                  (*["image"] * batch, "class", "probability"), rows, left=1 + batch,
                  note=f"... and {more} more" if more > 0 else "")


def prediction_text(prediction):
    """The same as indented lines: a class a line, under its image's number in a batch."""
    screen, lines, image = prediction_screen(prediction), [], None
    for *of_image, label, p in screen.rows:
        lines += of_image if of_image != image else []
        lines.append(f"  {p}  {label}")
        image = of_image
    return "\n".join(filter(None, [screen.title, *lines, screen.note]))


def model_screen(model):
    """What a model is made of."""
    c = model.config
    rows = [("variant", variant_name(c) or "none of the table"), ("parameters", f"{parameter_count(c):,}"),
            ("multiply-adds an image", f"{macs(c):,}"), ("image, pixels", " x ".join(map(str, c.height_width))),
            ("patch, pixels", f"{c.patch_size} x {c.patch_size}"), ("tokens", str(c.num_tokens)),
            ("width", str(c.width)), ("layers", str(c.num_layers)), ("heads", str(c.num_heads)),
            ("MLP width", str(c.mlp_width)), ("classes", str(c.num_classes)),
            ("numbers", f"{model.dtype} on {model.device}")]
    if parts := further_parts(c) + other_conventions(c):
        rows.insert(1, ("beside the plain ViT", ", ".join(parts)))
    return Screen(f"VisionTransformer {plain(model.name or '')}".strip(), ("", ""), rows)


def trace_screen(steps):
    """Every step's shape, mean and standard deviation; of the layers the first, as the others have the same steps."""
    shown = [name for name in steps if not name.startswith("layer.") or name.startswith("layer.0.")]
    layers = len({name.split(".")[1] for name in steps if name.startswith("layer.")})
    rows = [(name, shape_of(steps[name]), f"{float(steps[name].mean()):.4f}", f"{float(steps[name].std()):.4f}")
            for name in shown]
    if layers > 1:
        last = max(i for i, name in enumerate(shown) if name.startswith("layer.0."))
        others = "layer.1" if layers == 2 else f"layer.1 to layer.{layers - 1}"
        rows.insert(last + 1, (others, "the same steps", "", ""))
    return Screen(f"Trace: {len(steps)} steps, name -> array", ("step", "shape", "mean", "std"), rows)


def gradients_screen(gradients):
    """The gradients' size: of the pixels, and of each part of the parameters."""
    parts = {}
    for name, array in flatten(gradients.params).items():
        part = ".".join(name.split(".")[:2]) if name.startswith("blocks.") else name.split(".")[0]
        parts.setdefault(part, []).append(array)
    rows = [_gradient_row("image", [gradients.image]), *(_gradient_row(*part) for part in parts.items())]
    blocks = [i for i, row in enumerate(rows) if row[0].startswith("blocks.")]
    if len(blocks) > MOST_BLOCKS:
        rows[blocks[MOST_BLOCKS // 2]:blocks[-MOST_BLOCKS // 2] + 1] = [("...", "", "", "")]
    return Screen(f"Gradients of a loss of {gradients.loss:.4f} nats",
                  ("with respect to", "numbers", "norm", "largest"), rows,
                  note="g.loss, g.image (of the prepared pixels), g.params (nested like model.params)")


def _gradient_row(name, arrays):
    norm = sum(float(np.square(a, dtype=np.float64).sum()) for a in arrays) ** 0.5
    largest = max(float(np.abs(a).max()) for a in arrays)
    return name, f"{sum(a.size for a in arrays):,}", f"{norm:.2e}", f"{largest:.2e}"


def comparison_screen(comparison, verdict):
    """A row per step: the largest absolute and the relative difference, and its own. verdict: lines about all."""
    rows = [(row.name, " x ".join(map(str, row.shape)), f"{row.largest:.1e}", f"{row.relative:.1e}",
             f"{row.own:.1e}", (row.note or ("ok" if row.agrees else "follows" if row.right else "DIFFERS"))
             + ("  <- first" if row.name == comparison.first_difference else "")) for row in comparison.rows]
    return Screen(f"{comparison.model} against {comparison.reference}",
                  ("step", "shape", "largest", "relative", "its own", ""), rows, note="; ".join(verdict))
