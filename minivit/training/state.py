"""The state of a run on disk: weights, moments, step and log, so that a stopped run goes on as if it never had."""

import json
import math
from dataclasses import asdict, dataclass, field

import numpy as np

from ..checkpoints import safetensors_file, safetensors_writing
from ..engine.devices import device_of, to_device
from ..engine.gpu.kernels import fused
from ..errors import CheckpointError
from ..ranges import real, shown, whole
from ..trees import flatten, tree_map
from . import calibration, frozen
from .muon import Muon
from .optimiser import AdamW
from .recipe import Recipe
from .record import ROW

FILE = "state.safetensors"
OPTIMISERS = {"adamw": AdamW, "muon": Muon}


@dataclass
class State:
    """What changes during a run. log: a row (dict) an epoch; sums: loss, right answers, images and seconds of this one.

    average: the moving average of the weights that are trained, nested like params, or None.
    """

    params: dict
    optimiser: AdamW | Muon
    average: dict | None = None
    step: int = 0
    log: list = field(default_factory=list)
    sums: dict = field(default_factory=lambda: {"loss": 0.0, "right": 0, "images": 0, "seconds": 0.0})

    @classmethod
    def of(cls, params, recipe, config):
        """The state before the first step."""
        trained = frozen.trained(params, recipe.freeze, config)
        average = tree_map(lambda a: a.copy(), trained) if recipe.average else None
        return cls(params, OPTIMISERS[recipe.optimiser].for_params(trained), average)

    def update(self, grads, rate, recipe):
        """One step of the optimiser, and of the average: a ← share · a + (1 - share) · w, in place.

        The share rises to recipe.average: early on, the average would else consist of random weights.
        """
        self.optimiser.step(self.params, grads, rate, recipe.weight_decay, recipe.head_rate)
        self.step += 1
        if self.average is not None:
            share = min(recipe.average, (1 + self.step) / (10 + self.step))
            weights = flatten(self.params)
            for name, a in flatten(self.average).items():
                fused(follow, a, weights[name], 1 - share)

    def result(self, model):
        """The model with the averaged weights where there are any, else as it is."""
        return model if self.average is None else model.with_params({**self.params, **self.average})

    def arrays(self):
        """Every array of the state under one flat name; the very arrays, so that writing into them restores it."""
        parts = {"weights": self.params, **self.optimiser.arrays()}
        if self.average is not None:
            parts["average"] = self.average
        return {f"{part}/{name}": array for part, tree in parts.items() for name, array in flatten(tree).items()}

    def save(self, folder, about):
        """Write the state, atomically. about: what the run is, checked when it is read again."""
        host = {name: to_device(a, "cpu") for name, a in self.arrays().items()}
        progress = {"step": self.step, "log": self.log, "sums": self.sums}
        safetensors_writing.write(folder / FILE, host, {"about": json.dumps(about), "progress": json.dumps(progress)})

    def restore(self, folder, about):
        """Read the state where there is one. Raises CheckpointError for a damaged file or one of another run."""
        path = folder / FILE
        if not path.exists():
            return
        try:
            with safetensors_file.TensorFile(path) as file:
                found, progress = (json.loads(file.metadata[key]) for key in ("about", "progress"))
                other = _difference(found, json.loads(json.dumps(about)))
                if not other:
                    checked = _checked_progress(progress, about["images"], Recipe(**about["recipe"]))
                    self.step, self.log, self.sums = checked
                    self._fill_from(file)
        except (LookupError, TypeError, AttributeError, ArithmeticError, OSError, ValueError, RecursionError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise CheckpointError(f"{path} is damaged: {reason}; remove it to begin again") from None
        if other:
            raise CheckpointError(f"{path} belongs to another run, with {other}: give the same settings to go on, or "
                                  "another folder to begin anew")
        self.optimiser.steps = self.step

    def _fill_from(self, file):
        """Read every array of the state. Raises ValueError where one is missing or of another shape."""
        for name, array in self.arrays().items():
            found = file.shapes.get(name)
            if found != array.shape:
                raise ValueError(f"{name} has shape {found}, expected {array.shape}" if found is not None else
                                 f"it has no {name}")
            values = file.read(name)
            if not np.isfinite(values).all():
                raise ValueError(f"{name} holds values that are NaN or infinite")
            array[...] = to_device(values, device_of(array))


def follow(average, w, new):
    """average ← average + new · (w - average), in place."""
    average += new * (w - average)


def _checked_progress(progress, images, recipe):
    """(step, log, sums) of a state's JSON. Raises ValueError for numbers with which no run of this recipe could stand.

    The steps are those of the epochs in the log and of the one begun, whose sums count its images.
    """
    step, log, sums = (progress[name] for name in ("step", "log", "sums"))
    batches = (images - recipe.held_out) // recipe.batch_size
    whole("step", step, 0, recipe.epochs * batches)
    if not isinstance(log, list):
        raise ValueError(f"log is a list of rows, found {shown(log)}")
    for i, row in enumerate(log):
        whole("epoch", row["epoch"], i + 1, i + 1)
        for name in ROW[1:]:
            if row[name] is not None or name not in ("held_out_loss", "held_out_accuracy"):
                real(f"{name} of epoch {i + 1}", row[name], 0, math.inf)
        if recipe.calibrate and row["temperature"] is not None:
            real(f"temperature of epoch {i + 1}", row["temperature"], calibration.LOWEST, calibration.HIGHEST)
    begun = step - batches * len(log)
    whole("steps of the epoch begun", begun, 0, batches)
    whole("images", sums["images"], begun * recipe.batch_size, begun * recipe.batch_size)
    whole("right", sums["right"], 0, sums["images"])
    for name in ("loss", "seconds"):
        real(name, sums[name], 0, math.inf)
    return step, log, sums


def _difference(found, wanted):
    """The first setting in which the file's run and this one differ, "recipe seed 5, not 6", or None."""
    # A file from before a setting existed ran with its default.
    found = {**found, "recipe": {**asdict(Recipe()), **found["recipe"]}}
    for part in wanted:
        inner = wanted[part] if isinstance(wanted[part], dict) else {"": wanted[part]}
        other = found.get(part) if isinstance(found.get(part), dict) else {"": found.get(part)}
        for key, value in inner.items():
            if other.get(key) != value:
                return f"{part} {key}".strip() + f" {other.get(key)!r}, not {value!r}"
    return None
