"""python -m tests.on_stand_in MODULE ARGUMENTS…: run a module with the strict stand-in in the place of CuPy."""

import runpy
import sys

from tests.strict_array import fake_cupy

if __name__ == "__main__":
    sys.modules["cupy"] = fake_cupy()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
