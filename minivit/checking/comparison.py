"""Do two models compute the same? Step by step, and where they part, why.

A row a step of the trace: the largest absolute difference, and ‖ours − theirs‖ / ‖theirs‖. The first row that disagrees
is where to look; its cause is found by computing that step again under every known variation (`variations`) until one
removes the difference. minivit's side runs in float64, and so does a torch module or a second model: in float32,
rounding hides most mistakes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..checkpoints import google, loading, npz_file, torch_file
from ..explain import screens
from ..model import VisionTransformer
from ..tracing import trace
from ..types import Images
from . import variations

# What rounding alone leaves, with room: it grows with depth, and attention amplifies it.
TOLERANCE = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-2}
GRADIENT = "gradient of "
MOST_CAUSES = 5


@dataclass
class Row:
    """One step's verdict. largest: max |ours − theirs|; relative: ‖ours − theirs‖ / ‖theirs‖; note: a misfit's kind."""

    name: str
    shape: tuple
    largest: float
    relative: float
    agrees: bool
    note: str = ""


@dataclass
class Comparison:
    """The verdict on every step; print it for a table.

    rows: one a step that the reference has. first_difference: the name of the first that disagrees, or None. cause:
    what removes the difference, in words, or None where nothing known does. unused: names that are no step.
    """

    model: str
    reference: str
    rows: list
    tolerance: float
    cause: str | None = None
    unused: list = field(default_factory=list)

    @property
    def agrees(self):
        """Whether every row agrees."""
        return all(row.agrees for row in self.rows)

    @property
    def first_difference(self):
        """The name of the first row that disagrees, or None."""
        return next((row.name for row in self.rows if not row.agrees), None)

    def __bool__(self):
        return self.agrees

    def __repr__(self):
        name_width = max(len(row.name) for row in self.rows)
        shapes = {row.name: " x ".join(map(str, row.shape)) for row in self.rows}
        shape_width = max(map(len, shapes.values()))
        lines = [f"{self.model} against {self.reference}",
                 f"{'step':{name_width}}  {'shape':>{shape_width}}  {'largest':>8}  {'relative':>8}"]
        for row in self.rows:
            mark = "ok" if row.agrees else "DIFFERS"
            pointer = "  <- first" if row.name == self.first_difference else ""
            lines.append(f"{row.name:{name_width}}  {shapes[row.name]:>{shape_width}}  {row.largest:8.1e}  "
                         f"{row.relative:8.1e}  {row.note or mark}{pointer}")
        return "\n".join([*lines, *self._verdict()])

    def _repr_html_(self) -> str:
        return screens.comparison_screen(self, list(self._verdict())).as_html()

    def _verdict(self):
        if self.unused:
            yield f"not compared, as no step has these names: {', '.join(self.unused)}"
        if self.agrees:
            yield f"all {len(self.rows)} rows agree, to a relative difference of {self.tolerance:.0e}"
            return
        wrong = sum(not row.agrees for row in self.rows)
        yield (f"{wrong} of {len(self.rows)} rows differ by more than {self.tolerance:.0e}; "
               f"first: {self.first_difference}")
        yield f"cause: {self.cause or 'none that is known; look at what makes this step out of the one before'}"


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
    label, arrays, other = _open_reference(reference, model)
    x = _pixels(model, image, arrays)
    ours = trace(model, x)
    dy = None
    if gradients:
        dy = np.random.default_rng(0).standard_normal(model(x).shape)
        dy = np.asarray((arrays or {}).get("dlogits", dy), np.float64)
        ours |= _gradients(model, x, dy)
    if arrays is not None:
        theirs = arrays
    elif isinstance(other, VisionTransformer):
        theirs = trace(other, x) | (_gradients(other, x, dy) if gradients else {})
    else:
        theirs = _module_steps(other, x, dy, model)
    rows, tolerance = _rows(ours, theirs)
    if not rows:
        raise ValueError(f"{label} holds none of the trace's steps: it has {', '.join(list(theirs)[:5]) or 'none'}; "
                         "minivit trace -o FILE.npz writes their names")
    unused = [name for name in theirs if name not in ours and name != "dlogits"] if arrays is not None else []
    comparison = Comparison(model.name or "the model", label, rows, tolerance, unused=unused)
    if not comparison.agrees:
        comparison.cause = _cause(model, x, theirs, rows)
    return comparison


def _open_reference(reference, model):
    """(label, arrays or None, VisionTransformer or torch module or None)."""
    if isinstance(reference, Mapping):
        return "the arrays given", {name: np.asarray(array) for name, array in reference.items()}, None
    if isinstance(reference, VisionTransformer):
        return reference.name or "the other model", None, _same_size(reference.to("cpu").astype("float64"), model)
    if torch_file.is_module(reference):
        return f"the torch module {type(reference).__name__}", None, reference
    if isinstance(reference, (str, Path)) and Path(reference).is_file() and npz_file.is_npz(reference):
        source = npz_file.open_source(reference)
        if not google.matches(source.shapes):
            return str(reference), {name: source.read(name) for name in source.shapes}, None
    other = loading.load(reference, dtype="float64")
    if other.config.height_width != model.config.height_width:
        other = loading.load(reference, dtype="float64", image_size=model.config.image_size)
    return str(reference), None, other


def _same_size(other, model):
    if other.config.height_width != model.config.height_width:
        raise ValueError(f"the models read images of {model.config.height_width} and {other.config.height_width} "
                         "pixels: load one with image_size=…")
    return other


def _pixels(model, image, arrays):
    """The prepared pixels (B, H, W, 3) that both sides get."""
    if image is None and arrays and "pixels" in arrays:
        x = np.asarray(arrays["pixels"], np.float64)
        height, width = model.config.height_width
        if x.ndim != 4 or x.shape[1:] != (height, width, 3):
            raise ValueError(f'the reference\'s "pixels" have the shape {x.shape}, expected (B, {height}, {width}, 3)')
        return x
    if image is None:
        from ..samples import CAT
        image = CAT
    return model.prepare(image)


def _gradients(model, x, dy):
    """{"gradient of …": array}, from the output back to the pixels, in timm's names and shapes."""
    from ..checkpoints.timm import state_dict
    logits, cache = model.forward(x)
    if dy.shape != logits.shape:
        raise ValueError(f"the upstream gradient has the shape {dy.shape}, the output {logits.shape}")
    dx, grads = model.backward(dy, cache)
    named = {GRADIENT + name: array for name, array in state_dict(model, grads).items()}
    return dict(reversed(named.items())) | {GRADIENT + "pixels": dx}


def _module_steps(module, x, dy, model):
    """A torch module's steps and gradients, the latter in timm's names and shapes."""
    from ..checkpoints.timm import to_timm
    from .torch_tracing import torch_trace
    steps, grads = torch_trace(module, x, dy)
    P = model.config.patch_size
    named = {GRADIENT + name: to_timm(name, a, P) if name != "pixels" else a for name, a in grads.items()}
    return steps | named


def _rows(ours, theirs):
    """(rows in our order, tolerance) of the steps that both sides have."""
    tolerance = max((_tolerance(theirs[name]) for name in ours if name in theirs), default=TOLERANCE["float64"])
    largest = max((float(np.abs(a).max(initial=0)) for name, a in ours.items() if name.startswith(GRADIENT)), default=0)
    return [_row(name, ours[name], theirs[name], tolerance, largest if name.startswith(GRADIENT) else 0)
            for name in ours if name in theirs], tolerance


def _row(name, ours, theirs, tolerance, largest_gradient=0.0):
    """One Row. A gradient that is zero but for rounding is measured by the largest one."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        return Row(name, ours.shape, np.inf, np.inf, False, f"DIFFERS: has shape {theirs.shape}")
    if not np.isfinite(theirs).all():
        return Row(name, ours.shape, np.inf, np.inf, False, "DIFFERS: not finite")
    difference = np.abs(ours - theirs)
    scale = max(float(np.linalg.norm(theirs)), 1e-2 * tolerance * largest_gradient, 1e-300)
    relative = float(np.linalg.norm(difference)) / scale
    return Row(name, ours.shape, float(difference.max(initial=0)), relative, bool(relative <= tolerance))


def _cause(model, x, theirs, rows):
    """What removes the differences, in words, one cause after another from the first row on; None if nothing does."""
    found = variations.Variation()
    for _ in range(MOST_CAUSES):
        step = next((row.name for row in rows if not row.agrees), None)
        if step is None:
            break
        if step.startswith(GRADIENT):
            return "; ".join(filter(None, [found.cause, _gradient_cause(model, x, theirs, rows)])) or None
        one = _first_cause(model, x, theirs, rows, step, found)
        if one is None:
            return f"{found.cause}; then {step} differs, and nothing known removes it" if found.cause else None
        found = found.and_also(one)
        if one.tolerance or any(row.name.startswith(GRADIENT) for row in rows):
            break                       # what follows differs by rounding, or needs a backward pass under the variation
        rows, _ = _rows(dict(variations.steps(model, x, found)), theirs)
    return found.cause or None


def _first_cause(model, x, theirs, rows, step, found):
    """The Variation under which `step` agrees, or None.

    Those that show in such a step are tried first. q, k and v are judged together: one alone may agree by chance.
    """
    start = _start(model, x, theirs, rows, step, found)
    changed, kind = found.model(model), step.split(".")[-1]
    candidates = sorted(variations.known(changed), key=lambda v: kind not in v.where)
    if kind in ("norm1", "norm2", "norm"):
        candidates += _fitted_eps(changed, step, theirs, dict(_until(model, x, step, found, start)))
    agreed = {row.name for row in rows if row.agrees}
    last = step.removesuffix("query") + "value" if kind == "query" and step.removesuffix("query") + "value" in theirs \
        else step
    partial = None
    for candidate in tqdm(candidates, desc=f"causes of {step}", delay=1, leave=False):
        try:
            outcome = _outcome(_until(model, x, last, found.and_also(candidate), start), theirs, candidate)
        except ValueError:
            continue                    # shapes that this variation makes impossible
        if step in outcome and all(outcome[name] for name in outcome if name in agreed or name == step):
            if all(outcome.values()):
                return candidate
            partial = partial or candidate
    return partial


def _outcome(steps, theirs, candidate):
    """{step: whether it agrees under a candidate}, of the steps that the reference has."""
    return {name: _row(name, array, theirs[name], max(_tolerance(theirs[name]), candidate.tolerance)).agrees
            for name, array in steps if name in theirs}


def _tolerance(array):
    return TOLERANCE.get(str(array.dtype), TOLERANCE["float64"])


def _start(model, x, theirs, rows, step, found):
    """(z, layer) to compute `step` from: what enters its layer, where the rows before it show that both sides agree."""
    if not step.startswith("layer."):
        last_layer = model.config.num_layers
        before = f"layer.{last_layer - 1}.output" if step in ("norm", "representation", "logits") else None
    else:
        last_layer = int(step.split(".")[1])
        before = f"layer.{last_layer - 1}.output" if last_layer else "embedded"
    if before is None or not any(row.name == before and row.agrees for row in rows):
        return None, 0
    return np.asarray(theirs[before], np.float64), last_layer


def _until(model, x, step, variation, start):
    """The steps from `start` up to and with `step`."""
    z, layer = start
    for name, array in variations.steps(model, x, variation, z, layer):
        yield name, array
        if name == step:
            return


def _fitted_eps(model, step, theirs, ours):
    """A Variation with the eps that fits a norm's output best, where there is a positive one."""
    kind = step.split(".")[-1]
    block = model.params["blocks"][int(step.split(".")[1])] if step.startswith("layer.") else model.params
    norm = block.get(kind) or block.get("fc_norm")
    got, here = theirs[step] - norm["bias"], ours[step] - norm["bias"]
    # Both are the same vector over its own √(var + eps): the ratio of their lengths tells eps, if it is constant.
    ratio = np.linalg.norm(here, axis=-1) / np.maximum(np.linalg.norm(got, axis=-1), 1e-300)
    weight = np.where(norm["weight"] == 0, 1, norm["weight"])
    share = np.mean((here / weight) ** 2, axis=-1)      # var / (var + eps)
    eps_here = model.config.layer_norm_eps
    variance = share * eps_here / np.maximum(1 - share, 1e-300)
    eps = float(np.median(ratio ** 2 * (variance + eps_here) - variance))
    return [variations.eps_variation(model, eps)] if 0 < eps < 1 and abs(eps - eps_here) > 1e-3 * eps_here else []


def _gradient_cause(model, x, theirs, rows):
    """Why gradients differ where the forward pass agrees: all by one factor, as a mean over a sum is."""
    names = [row.name for row in rows if row.name.startswith(GRADIENT) and not row.note]
    dy = np.asarray(theirs.get("dlogits", np.random.default_rng(0).standard_normal(model(x).shape)), np.float64)
    ours = _gradients(model, x, dy)
    pairs = [(ours[name].ravel(), np.asarray(theirs[name], np.float64).ravel()) for name in names]
    factor = sum(a @ b for a, b in pairs) / sum(a @ a for a, _ in pairs)
    tolerance = max(row.relative for row in rows if row.agrees) if any(row.agrees for row in rows) else 1e-10
    if all(np.linalg.norm(factor * a - b) <= max(tolerance, 1e-10) * max(np.linalg.norm(b), 1e-12) for a, b in pairs):
        return f"every gradient is {factor:.6g} times minivit's: a mean where the other takes a sum, or another loss"
    return None
