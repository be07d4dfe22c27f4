"""The names of ImageNet-1k's classes, for models whose source says that it is what they were trained on, and no more.

imagenet_1k.txt has the list with its source and licence.
"""

from pathlib import Path

NUM_CLASSES = 1000


def labels():
    """The 1,000 names in the order of the classes."""
    lines = Path(__file__).with_name("imagenet_1k.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]
