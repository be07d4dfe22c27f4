"""How PyTorch lays out tensors, which timm, Hugging Face and torchvision share.

A linear weight is (out, in) there and (in, out) here; the patch kernel is (D, C, P, P) there and (P²C, D) here.
"""

import numpy as np

from .timm import from_timm


def file_shape(name, shape, parts, config):
    """The shape in the file of one of `parts` tensors that make up minivit's `name`, of `shape` under timm's names."""
    return (shape[0] // parts, *shape[1:])


def to_ours(name, arrays):
    """minivit's array from the file's one array, or its three of q, k and v."""
    return from_timm(name, arrays[0] if len(arrays) == 1 else np.concatenate(arrays))


def patch_size(shape):
    """P from the shape of the patch kernel."""
    return shape[-1]
