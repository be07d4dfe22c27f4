"""Position embeddings for another image size: the trained grid is resampled, as an image of D channels would be.

Five libraries do it in five ways (the ViT paper, section 3.2, says only "2D interpolation"):

    "google"        bilinear, the corner points of both grids coincide (scipy.ndimage.zoom of order 1)
    "timm"          bicubic, the corner areas coincide, smoothed where the grid shrinks (antialias)
    "hugging_face"  bicubic, the corner areas coincide
    "torchvision"   bicubic, the corner points coincide
    "dino"          bicubic, as if the new grid had 0.1 points more: DINO's and DINOv2's own code says that this keeps
                    a rounding of the number of points at bay, and their weights are used with it, but for DINOv2's
                    with registers, which are resampled as timm does it

Each is linear and treats rows and columns alike, so it is one matrix for the rows and one for the columns:
new grid = R · grid · Cᵀ. Bicubic is Keys's kernel (1981) with a = -0.75, or -0.5 where it smooths, as in PyTorch.
Weights are computed in float64. PyTorch computes them in the table's precision, and timm always in float32, which moves
a table of unit variance by some 1e-6 and a trained one, of standard deviation 0.02 to 0.2, by less.
"""

import numpy as np

WAYS = ("google", "timm", "hugging_face", "torchvision", "dino")


def resample(table, grid, new_grid, way):
    """A position table for new_grid from one for grid. table: (1, T, D), with or without rows for [CLS] and its like.

    grid and new_grid: (rows, columns) of patches. way: one of WAYS. The rows before the patches' are kept; a table for
    the same grid is returned as it is. Returns (1, T', D) in table's dtype. Raises ValueError.
    """
    if way not in WAYS:
        raise ValueError(f"resample is one of {', '.join(WAYS)}, found {way!r}")
    rest = table.shape[1] - grid[0] * grid[1]
    if rest not in (0, 1, 2):
        raise ValueError(f"{table.shape[1]} positions do not cover a grid of {grid[0]} x {grid[1]} patches, "
                         "with or without [CLS]")
    if tuple(grid) == tuple(new_grid):
        return table
    cls, patches = table[:, :rest], table[0, rest:].astype(np.float64)
    image = patches.reshape(*grid, -1)                                           # (rows, columns, D)
    R, C = (weights(old, new, way) for old, new in zip(grid, new_grid))
    image = np.einsum("ur,vc,rcd->uvd", R, C, image, optimize=True)              # (rows', columns', D)
    new = image.reshape(1, -1, table.shape[-1]).astype(table.dtype)
    return np.concatenate([cls, new], axis=1)                                    # (1, T', D)


def weights(old, new, way):
    """The matrix (new, old) that resamples a line of `old` points to `new` points; each row sums to 1."""
    place = np.arange(new)
    if way in ("google", "torchvision"):
        centre = place * ((old - 1) / (new - 1) if new > 1 else 0.0)             # corner points coincide
    else:
        centre = (place + 0.5) * (old / (new + 0.1 * (way == "dino"))) - 0.5     # corner areas coincide
    if way == "google":
        return _gather(centre, old, lambda t: np.maximum(1 - np.abs(t), 0), reach=1)
    if way == "timm":
        return _smoothed(centre, old, stretch=max(old / new, 1.0))
    return _gather(centre, old, lambda t: keys(t, -0.75), reach=2)


def keys(t, a):
    """Keys's cubic kernel at distance t: 1 at 0, 0 at the other whole numbers, and 0 beyond 2."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def _gather(centre, old, kernel, reach):
    """Weights of the points around each centre; points beyond the border are the border's own."""
    matrix = np.zeros((len(centre), old))
    first = np.floor(centre).astype(int) - reach + 1
    for step in range(2 * reach):
        np.add.at(matrix, (np.arange(len(centre)), np.clip(first + step, 0, old - 1)), kernel(first + step - centre))
    return matrix


def _smoothed(centre, old, stretch):
    """Weights of a kernel as wide as the new spacing; points beyond the border count for nothing."""
    matrix = keys((np.arange(old) - centre[:, None]) / stretch, -0.5)
    return matrix / matrix.sum(axis=1, keepdims=True)
