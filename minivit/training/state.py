"""The state of a run on disk: weights, moments, step and log, so that a stopped run goes on as if it never had."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
from safetensors import SafetensorError, safe_open

from ..checkpoints.native import write_tensors
from ..engine.devices import device_of, to_device
from ..engine.gpu.kernels import fused
from ..errors import CheckpointError
from ..trees import flatten, tree_map
from .muon import Muon
from .optimiser import AdamW
from .recipe import Recipe

FILE = "state.safetensors"
OPTIMISERS = {"adamw": AdamW, "muon": Muon}


@dataclass
class State:
    """What changes during a run. log: a row (dict) an epoch; sums: loss, right answers and images of this epoch.

    average: the weights' moving average, nested like params, or None.
    """

    params: dict
    optimiser: AdamW | Muon
    average: dict | None = None
    step: int = 0
    log: list = field(default_factory=list)
    sums: dict = field(default_factory=lambda: {"loss": 0.0, "right": 0, "images": 0, "seconds": 0.0})

    @classmethod
    def of(cls, params, recipe):
        """The state before the first step."""
        average = tree_map(lambda a: a.copy(), params) if recipe.average else None
        return cls(params, OPTIMISERS[recipe.optimiser].for_params(params), average)

    def update(self, grads, rate, recipe):
        """One step of the optimiser, and of the average: a ← share · a + (1 - share) · w, in place.

        The share rises to recipe.average: early on, the average would else consist of random weights.
        """
        self.optimiser.step(self.params, grads, rate, recipe.weight_decay)
        self.step += 1
        if self.average is not None:
            share = min(recipe.average, (1 + self.step) / (10 + self.step))
            weights = flatten(self.params)
            for name, a in flatten(self.average).items():
                fused(follow, a, weights[name], 1 - share)

    def result(self, model):
        """The model with the averaged weights where there are any, else as it is."""
        return model if self.average is None else model.with_params(self.average)

    def arrays(self):
        """Every array of the state under one flat name; the very arrays, so that writing into them restores it."""
        parts = {"weights": self.params, **self.optimiser.arrays()}
        if self.average is not None:
            parts["average"] = self.average
        return {f"{part}/{name}": array for part, tree in parts.items() for name, array in flatten(tree).items()}

    def save(self, folder, about):
        """Write the state, atomically. about: what the run is, checked when it is read again."""
        host = {name: np.ascontiguousarray(to_device(a, "cpu")) for name, a in self.arrays().items()}
        progress = {"step": self.step, "log": self.log, "sums": self.sums}
        write_tensors(folder / FILE, host, {"about": json.dumps(about), "progress": json.dumps(progress)})

    def restore(self, folder, about):
        """Read the state where there is one. Raises CheckpointError for a damaged file or one of another run."""
        path = folder / FILE
        if not path.exists():
            return
        try:
            with safe_open(path, framework="numpy") as file:
                found, progress = (json.loads(file.metadata()[key]) for key in ("about", "progress"))
                _check_same_run(path, found, json.loads(json.dumps(about)))
                for name, array in self.arrays().items():
                    array[...] = to_device(file.get_tensor(name), device_of(array))
            self.step, self.log, self.sums = progress["step"], progress["log"], progress["sums"]
        except CheckpointError:
            raise
        except (SafetensorError, KeyError, TypeError, OSError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: {error}; remove it to begin again") from None
        self.optimiser.steps = self.step


def follow(average, w, new):
    """average ← average + new · (w - average), in place."""
    average += new * (w - average)


def _check_same_run(path, found, wanted):
    """Raises CheckpointError that names the first setting in which the file's run and this one differ."""
    # A file from before a setting existed ran with its default.
    found = {**found, "recipe": {**asdict(Recipe()), **found["recipe"]}}
    for part in wanted:
        inner = wanted[part] if isinstance(wanted[part], dict) else {"": wanted[part]}
        other = found.get(part) if isinstance(found.get(part), dict) else {"": found.get(part)}
        for key, value in inner.items():
            if other.get(key) != value:
                name = f"{part} {key}".strip()
                raise CheckpointError(f"{path} belongs to another run, with {name} {other.get(key)!r}, not {value!r}: "
                                      "give the same settings to go on, or another folder to begin anew")
