"""Can the tests fail? One fault after another is planted in a copy of the package; the tests must reject each.

`python -m tests.faults` plants them all. tables/ has the faults, a file for each folder of minivit.
"""

import importlib
import pkgutil

from . import tables
from .fault import Fault

FAULTS = [fault for found in pkgutil.iter_modules(tables.__path__)
          for fault in importlib.import_module(f"{tables.__name__}.{found.name}").FAULTS]

__all__ = ["FAULTS", "Fault"]
