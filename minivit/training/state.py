"""The state of a run on disk: weights, moments, step and log, so that a stopped run goes on as if it never had."""

import json
from dataclasses import dataclass, field

import numpy as np
from safetensors import SafetensorError, safe_open

from ..backend import device_of, to_device
from ..checkpoints.native import write_tensors
from ..errors import CheckpointError
from ..trees import flatten

FILE = "state.safetensors"


@dataclass
class State:
    """What changes during a run. log: a row (dict) an epoch; sums: loss, right answers and images of this epoch."""

    params: dict
    optimiser: object
    step: int = 0
    log: list = field(default_factory=list)
    sums: dict = field(default_factory=lambda: {"loss": 0.0, "right": 0, "images": 0, "seconds": 0.0})

    def arrays(self):
        """Every array of the state under one flat name; the very arrays, so that writing into them restores it."""
        return {f"{part}/{name}": array
                for part, tree in (("weights", self.params), ("first", self.optimiser.first),
                                   ("second", self.optimiser.second))
                for name, array in flatten(tree).items()}

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
        except (SafetensorError, KeyError, TypeError, OSError, json.JSONDecodeError) as error:
            raise CheckpointError(f"{path} is damaged: {error}; remove it to begin again") from None
        self.step, self.log, self.sums = progress["step"], progress["log"], progress["sums"]
        self.optimiser.steps = self.step


def _check_same_run(path, found, wanted):
    """Raises CheckpointError that names the first setting in which the file's run and this one differ."""
    for part in wanted:
        inner = wanted[part] if isinstance(wanted[part], dict) else {"": wanted[part]}
        other = found.get(part) if isinstance(found.get(part), dict) else {"": found.get(part)}
        for key, value in inner.items():
            if other.get(key) != value:
                name = f"{part} {key}".strip()
                raise CheckpointError(f"{path} belongs to another run, with {name} {other.get(key)!r}, not {value!r}: "
                                      "give the same settings to go on, or another folder to begin anew")
