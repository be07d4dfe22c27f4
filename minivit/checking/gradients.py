"""Gradients on both sides, and why they differ where the forward pass does not."""

import numpy as np

from .verdict import GRADIENT


def gradients_of(model, x, dy):
    """{"gradient of …": array}, from the output back to the pixels, in timm's names and shapes."""
    from ..checkpoints.timm import state_dict
    logits, cache = model.forward(x)
    if dy.shape != logits.shape:
        raise ValueError(f"the upstream gradient has the shape {dy.shape}, the output {logits.shape}")
    dx, grads = model.backward(dy, cache)
    named = {GRADIENT + name: array for name, array in state_dict(model, grads).items()}
    return dict(reversed(named.items())) | {GRADIENT + "pixels": dx}


def upstream(model, x, arrays):
    """dy (B, K), the output's gradient that both sides start from: the arrays' own "dlogits", or random numbers."""
    dy = np.random.default_rng(0).standard_normal(model(x).shape)
    return np.asarray((arrays or {}).get("dlogits", dy), np.float64)


def among(names, model):
    """Those of names that are gradients of a model."""
    from ..checkpoints.timm import state_dict
    known = {GRADIENT + name for name in (*state_dict(model), "pixels")}
    return [name for name in names if name in known]


def check_any(label, theirs, ours, unused):
    """Raise ValueError if no gradient is left to compare, which would look like agreement."""
    if not any(name.startswith(GRADIENT) for name in theirs):
        found = f"it has {', '.join(unused[:5])}" if unused else "it has steps alone"
        example = next(name for name in ours if name.startswith(GRADIENT))
        raise ValueError(f'{label} holds no gradient of the model, and gradients=True (--gradients) compares them: '
                         f'{found}; gradients are named "{GRADIENT}NAME", such as "{example}"')


def cause_of(ours, theirs, rows):
    """Why gradients differ where the forward pass agrees: all by one factor, as a mean over a sum is. Else None."""
    names = [row.name for row in rows if row.name.startswith(GRADIENT) and np.isfinite(row.relative)]
    if len(names) < 2 or any(not np.isfinite(row.relative) for row in rows):
        return None
    pairs = [(ours[name].ravel(), theirs[name].ravel()) for name in names]
    total = sum(a @ a for a, _ in pairs)
    factor = sum(a @ b for a, b in pairs) / total if total else 1.0
    tolerance = max(row.allowed for row in rows)
    if abs(factor - 1) <= 10 * tolerance:
        return None
    if all(np.linalg.norm(factor * a - b) <= 10 * tolerance * max(np.linalg.norm(b), 1e-2 * np.sqrt(total))
           for a, b in pairs):
        return f"every gradient is {factor:.6g} times minivit's: a mean where the other takes a sum, or another loss"
    return None
