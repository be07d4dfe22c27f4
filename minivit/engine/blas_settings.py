"""The number of threads of each BLAS library that is loaded: read, held at one, given back.

threadpoolctl finds the libraries. From version 3.8 on it changes OpenBLAS's number on one thread of the program only:
on all others its limits do nothing, in silence. So OpenBLAS's own functions are called here. The number that they set
is the whole process's; MKL's, and that of an OpenBLAS built on OpenMP, is the calling thread's own.
"""

import ctypes
import os
import sys
import threading
from functools import cache

import numpy as np  # noqa: F401  brings its BLAS along
import threadpoolctl


@cache
def blas():
    """threadpoolctl's handle on the BLAS that NumPy uses."""
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


@cache
def settings():
    """A Setting for each library whose number of threads can be read."""
    made = [_setting(library) for library in blas().lib_controllers]
    return [setting for setting in made if setting.get() is not None]


class Setting:
    """One library's number of threads, of the whole process. get() reads it, set(number) changes it.

    found: the last number that was not set here, while the library is held at one thread; else None. Others may change
    the number meanwhile: theirs is then what is found at the next `hold`, or left as it is by `release`. Either may be
    cut short by an interrupt, and puts everything right when it is called again.
    """

    of_each_thread = False

    def __init__(self, get, set):
        self.get, self.set, self.found = get, set, None

    def hold(self):
        """One thread from here on, however often it is called."""
        number = self.get()
        if number != 1 or self.found is None:
            self.found = number
        if number != 1:
            self.set(1)

    def release(self):
        """The number that was found, unless others have changed it since."""
        if self.found is not None:
            if self.found != 1 and self.get() == 1:
                self.set(self.found)
            self.found = None

    def number(self):
        """The threads that the library has, or had before it was held."""
        number = self.get()
        return number if number != 1 or self.found is None else self.found


class SettingOfEachThread(threading.local, Setting):
    """The same, of each thread alone: `found` too is the calling thread's."""

    of_each_thread = True


def cores():
    """How many threads suit a BLAS that cannot be listed, as macOS's Accelerate: one a core that the process may use.

    VECLIB_MAXIMUM_THREADS, which Accelerate reads, says otherwise. In a browser, where no thread can be started, 1.
    """
    if sys.platform in ("emscripten", "wasi"):
        return 1
    wanted = os.environ.get("VECLIB_MAXIMUM_THREADS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _setting(library):
    on_openmp = library.internal_api == "openblas" and library.threading_layer == "openmp"
    kind = SettingOfEachThread if on_openmp or library.internal_api == "mkl" else Setting
    if library.internal_api == "openblas":
        names = ("omp_get_max_threads", "omp_set_num_threads") if on_openmp else _openblas_names(library)
        if all(hasattr(library.dynlib, name) for name in names):
            # PYFUNCTYPE keeps the GIL, which ctypes otherwise lets go around a call of nanoseconds
            return kind(ctypes.PYFUNCTYPE(ctypes.c_int)((names[0], library.dynlib)),
                        ctypes.PYFUNCTYPE(None, ctypes.c_int)((names[1], library.dynlib)))
    return kind(library.get_num_threads, library.set_num_threads)


def _openblas_names(library):
    """The functions as this build calls them: NumPy's has a prefix, and a suffix where its integers have 64 bits."""
    get = next((name for name in library.check_symbols if hasattr(library.dynlib, name)), "openblas_get_num_threads")
    return get, get.replace("_get_", "_set_")
