"""Faults in the explorer: how weights go over the wire."""

from ..fault import Fault as F

FAULTS = [
    F("one scale for all rows", "explorer/weights", "np.abs(rows).max(axis=1)",
      "np.full(len(rows), np.abs(rows).max())"),
    F("scaled numbers are cut, not rounded", "explorer/weights", "np.round(_1)", "np.trunc(_1)"),
    F("other hosts' pages are answered", "explorer/serving", "host not in _1", "False"),
    F("a batch is shown", "explorer/serving", "len(prediction) != 1", "False"),
    F("a model without head is shown", "explorer/serving", "not model.config.num_classes", "False"),
    F("pictures of a way that the page lacks", "explorer/page_files", "p.resize not in RESIZES", "False"),
    F("filters that the page lacks", "explorer/page_files", "p.interpolation not in FILTERS", "False"),
    F("a crop that the page cuts elsewhere", "explorer/page_files", "p.crop_offset != 'round'", "False"),
    F("a file of no known kind", "explorer/serving", "path not in self.files", "False"),
    F("all devices of the network are answered", "explorer/serving", "LOOPBACK = '127.0.0.1'",
      "LOOPBACK = '0.0.0.0'"),
    F("the wire may be of any size", "explorer/weights", "len(data) <= WIRE", "True"),
]
