"""Faults in the explorer: how weights go over the wire."""

from ..fault import Fault as F

FAULTS = [
    F("one scale for all rows", "explorer/weights", "np.abs(rows).max(axis=1)",
      "np.full(len(rows), np.abs(rows).max())"),
    F("scaled numbers are cut, not rounded", "explorer/weights", "np.round(_1)", "np.trunc(_1)"),
    F("the wire may be of any size", "explorer/weights", "len(data) <= WIRE", "True"),
]
