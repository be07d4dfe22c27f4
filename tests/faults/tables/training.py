from ..fault import Fault

FAULTS = [Fault("a constant learning rate", "training/schedule", "(1 + math.cos(_1)) / 2", "1.0")]
