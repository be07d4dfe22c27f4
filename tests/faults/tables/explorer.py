"""Faults in the explorer's server: who is answered, and with what."""

from ..fault import Fault as F

FAULTS = [
    F("other hosts' pages are answered", "explorer/serving", "host not in _1", "False"),
    F("a batch is shown", "explorer/serving", "len(prediction) != 1", "False"),
    F("a model without head is shown", "explorer/serving", "not model.config.num_classes", "False"),
    F("a file of no known kind", "explorer/serving", "path not in self.files", "False"),
    F("all devices of the network are answered", "explorer/serving", "LOOPBACK = '127.0.0.1'", "LOOPBACK = '0.0.0.0'"),
]
