"""Patch embedding: a 2D image becomes a 1D sequence of vectors (ViT paper section 3.1, equation 1).

The image is cut into N = (H/P)(W/P) patches of P × P pixels, in raster order; each is flattened to P²C numbers,
row by row, the C channels of a pixel side by side; one linear map E takes every patch to the width D of the network.
It equals a convolution with a P × P kernel and stride P.
"""

from . import linear


def patchify(x, patch_size):
    """Cut images into flattened patches. x: (B, H, W, C). Returns (B, N, P²C)."""
    B, height, width, C = x.shape
    P = patch_size
    if height % P or width % P:
        raise ValueError(f"an image of {height} x {width} pixels cannot be cut into patches of {P} x {P}: "
                         f"resize or crop it so that {P} divides both sides")
    rows, columns = height // P, width // P
    x = x.reshape(B, rows, P, columns, P, C)
    x = x.transpose(0, 1, 3, 2, 4, 5)                                   # (B, rows, columns, P, P, C)
    return x.reshape(B, rows * columns, P * P * C)                      # (B, N, P²C)


def unpatchify(patches, patch_size, grid):
    """The exact inverse of `patchify`. patches: (B, N, P²C); grid: (rows, columns). Returns (B, H, W, C)."""
    B, P = len(patches), patch_size
    rows, columns = grid
    x = patches.reshape(B, rows, columns, P, P, -1)
    x = x.transpose(0, 1, 3, 2, 4, 5)                                   # (B, rows, P, columns, P, C)
    return x.reshape(B, rows * P, columns * P, -1)                      # (B, H, W, C)


def forward(x, params, patch_size):
    """patches E + b. x: (B, H, W, C). params: proj.weight (P²C, D), proj.bias (D,).

    Returns the embedded patches (B, N, D) and the cache. Raises ValueError where P does not divide a side.
    """
    grid = (x.shape[1] // patch_size, x.shape[2] // patch_size)
    patches = patchify(x, patch_size)                                   # (B, N, P²C)
    y, linear_cache = linear.forward(patches, params["proj"])           # (B, N, D)
    return y, (linear_cache, patch_size, grid)


def backward(dy, cache):
    """Gradients of `forward`. dy: (B, N, D). Returns dx, the gradient of every pixel (B, H, W, C), and grads.

    `patchify` only moves numbers, so its backward pass moves their gradients back.
    """
    linear_cache, patch_size, grid = cache
    dpatches, dproj = linear.backward(dy, linear_cache)                 # (B, N, P²C)
    return unpatchify(dpatches, patch_size, grid), {"proj": dproj}
