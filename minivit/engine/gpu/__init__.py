"""Kernels of a GPU, each made from a function of several NumPy calls: `fused.py`."""
