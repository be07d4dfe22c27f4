"""The rows of a comparison: how far each step is off in all, and how far in itself."""

import numpy as np

from .evidence import ROOM, TOLERANCE, blurred, relative
from .gradients import gradients_of
from .verdict import GRADIENT, Row


def rows_of(evidence, ours, dy=None):
    """A Row for each step and gradient that both sides have, in our order. dy: the gradients' upstream one."""
    made, rows, given = evidence.steps(), [], True
    for name in evidence.order:
        if name in evidence.theirs:
            theirs, allowed = evidence.theirs[name], evidence.allowed(name)
            own = relative(made[name], theirs)
            row = _row(name, ours[name], theirs, own, allowed)
            row.agrees = row.right and (given or row.relative <= allowed)
            given = given and row.right
            rows.append(row)
    names = [name for name in ours if name.startswith(GRADIENT) and name in evidence.theirs]
    if names:
        largest = max(float(np.abs(ours[name]).max(initial=0)) for name in names)
        rounding = _rounding(evidence, ours, dy)
        for name in names:
            rows.append(_gradient_row(name, ours[name], evidence.theirs[name], largest, evidence.dtype,
                                      rounding.get(name, 0.0), given))
    return rows


def _row(name, ours, theirs, own, allowed):
    """A Row whose verdict is still open."""
    if ours.shape != theirs.shape:
        return Row(name, ours.shape, np.inf, np.inf, False, f"DIFFERS: has shape {theirs.shape}", own, allowed)
    if not np.isfinite(theirs).all():
        return Row(name, ours.shape, np.inf, np.inf, False, "DIFFERS: not finite", own, allowed)
    return Row(name, ours.shape, float(np.abs(ours - theirs).max(initial=0)), relative(ours, theirs), False, "", own,
               allowed)


def _gradient_row(name, ours, theirs, largest, dtype, rounding, forward_agrees):
    """The Row of a gradient. One that is zero but for rounding is measured by the largest one.

    A gradient has no input of its own among the arrays: where the forward pass differs, it follows.
    """
    allowed = max(TOLERANCE[dtype], ROOM * rounding)
    row = _row(name, ours, theirs, np.inf, allowed)
    if not row.note:
        scale = max(float(np.linalg.norm(theirs)), 1e-2 * allowed * largest, 1e-300)
        row.relative = float(np.linalg.norm(ours - theirs)) / scale
        row.own = row.relative if forward_agrees else 0.0
        row.agrees = row.relative <= allowed
    return row


def _rounding(evidence, ours, dy):
    """{name: what float32, or the rounding of pixels given less exactly than the steps, leaves of it}, measured."""
    made = []
    if evidence.dtype == "float32":
        single = evidence.model.astype("float32")
        made.append(gradients_of(single, evidence.x.astype(np.float32), dy.astype(np.float32)))
    if "pixels" in evidence.coarse:
        made.append(gradients_of(evidence.model, blurred(evidence.x, evidence.stored["pixels"]), dy))
    names = made[0] if made else ()
    return {name: max(relative(grads[name].astype(np.float64), ours[name]) for grads in made) for name in names}
