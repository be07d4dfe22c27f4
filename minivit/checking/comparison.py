"""Do two models compute the same? Step by step, and where they part, why.

A row a step of the trace: the largest absolute difference, and ‖ours − theirs‖ / ‖theirs‖. Each step is also made again
from the reference's own input (`evidence`): what differs then is wrong in itself, and what only follows from an earlier
difference, or is rounding that grew, is told from it. minivit's side runs in float64, and so does a torch module or a
second model: in float32, rounding hides most mistakes.
"""

from typing import Any

import numpy as np

from ..checkpoints import loading
from ..model import VisionTransformer
from ..tracing import trace
from ..types import Images
from . import causes, pixel_recipes
from .evidence import TOLERANCE, Evidence
from .gradients import among, check_any, gradients_of, upstream
from .reference import dtype_of, fitted, open_reference, pixels_of, steps_of, stored_in
from .rows import rows_of
from .verdict import GRADIENT, Comparison, Row

__all__ = ["GRADIENT", "TOLERANCE", "Comparison", "Row", "compare"]


def compare(model: Any, reference: Any, image: Images | None = None, gradients: bool = False) -> Comparison:
    """Compare a model with a reference, step by step. Returns a Comparison; print it.

    model: a VisionTransformer, or what `minivit.load` takes. reference: a torch module of timm, transformers or
    torchvision; a second model, or what `load` takes; an .npz file, or a dict, of arrays under the trace's names, any
    of them. image: what `model.prepare` takes; by default the arrays' own "pixels", else the packaged photo.

    gradients: compare the gradients of the pixels and of every parameter too, for an upstream gradient of the output
    that is drawn from numpy.random.default_rng(0).standard_normal, or is the arrays' own "dlogits". Arrays hold them
    as "gradient of pixels" (B, H, W, 3) and "gradient of NAME", in timm's names and shapes. Raises ValueError.
    """
    model = model if isinstance(model, VisionTransformer) else loading.load(model, dtype="float64")
    model = model.to("cpu").astype("float64")
    label, arrays, other = open_reference(reference, model)
    x = pixels_of(model, image, arrays)
    ours = trace(model, x)
    dy = None
    if gradients:
        dy = upstream(model, x, arrays)
        ours |= gradients_of(model, x, dy)
    theirs = arrays if arrays is not None else steps_of(other, x, dy, model)
    unused = [name for name in theirs if name not in ours and name != "dlogits"] if arrays is not None else []
    unasked = among(unused, model)
    theirs = {name: a for name, a in theirs.items() if name in ours}
    dtype, stored = dtype_of(theirs), stored_in(theirs)
    theirs = fitted({name: np.asarray(a, np.float64) for name, a in theirs.items()}, ours)
    if not theirs:
        names = ", ".join(list(arrays or {})[:5]) or "none"
        raise ValueError(f"{label} holds none of the trace's steps: it has {names}; minivit trace -o FILE.npz "
                         "writes their names")
    if gradients:
        check_any(label, theirs, ours, unused)
    evidence = Evidence(model, x, ours, theirs, dtype, stored)
    rows = rows_of(evidence, ours, dy)
    comparison = Comparison(model.name or "the model", label, rows, TOLERANCE[dtype], unasked=unasked,
                            unused=[name for name in unused if name not in unasked])
    if arrays is not None and "pixels" in theirs:
        _judge_pixels(comparison, evidence, image)
    _tell_coarse(comparison, evidence)
    if not comparison.agrees and comparison.cause is None:
        comparison.cause, comparison.shows = causes.find(evidence, ours, comparison.rows)
    return comparison


def _judge_pixels(comparison, evidence, image):
    """Whether the reference's pixels are prepared as the model's are: by the image if it is given, else as it seems."""
    row = next(row for row in comparison.rows if row.name == "pixels")
    if image is not None and not row.agrees:
        comparison.cause = pixel_recipes.of_image(evidence.model, image, evidence.theirs["pixels"], row.allowed)
    elif image is None and (seen := pixel_recipes.of_pixels(evidence.model, evidence.theirs["pixels"])):
        certainty, words = seen
        if certainty == pixel_recipes.WRONG:
            row.agrees, row.note, comparison.cause = False, "LOOKS WRONG", words
        else:
            comparison.remarks.append(words)


def _tell_coarse(comparison, evidence):
    """Remark which rows agree only because the pixels are given less exactly than the steps."""
    rows = [row.name for row in comparison.rows if row.agrees and row.own > comparison.tolerance
            and (evidence.blur.get(row.name) or row.name in evidence.coarse)]
    if rows:
        given = ", ".join(f"{name} in {evidence.stored[name]}" for name in evidence.coarse)
        comparison.remarks.append(f"given less exactly than the steps: {given}; {', '.join(rows)} may be off by what "
                                  "this rounding leaves")
