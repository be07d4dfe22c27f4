"""How it runs fast: cache-sized tiles, threads, the device that an array is on, the BLAS kernel and its threads.

The sections of the lesson import from here and from nowhere else. Nothing is imported in this file: the BLAS kernel
is chosen (`blas_kernel.py`) before NumPy is loaded.
"""
