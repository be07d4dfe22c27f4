"""How it runs fast: cache-sized tiles, threads, the device that an array is on, the BLAS kernel and its threads.

What makes them fast, the sections of the lesson import from here. Nothing is imported in this file: the BLAS kernel
is chosen (`blas_kernel.py`) before NumPy is loaded.
"""
