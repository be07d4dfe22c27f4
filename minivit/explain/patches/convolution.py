"""A convolution, forward and backward: not part of a ViT, but what it is compared with.

    y[i, j] = Σ_{a, b} x[s i + a, s j + b] W[a, b] + bias        kernel k × k, stride s

Here it is a sum of k² matrix products, one for each place in the kernel, over images shifted by (a, b).
"""

import numpy as np


def forward(x, params, stride=1, padding=0):
    """Convolve images. x: (B, H, W, C). params: weight (k, k, C, C_out) and bias (C_out,).

    padding: zeros put around the image, in pixels. Returns y (B, H_out, W_out, C_out) and the cache.
    """
    weight = params["weight"]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    y = params["bias"]
    for a, b, window in _windows(x.shape, len(weight), stride):
        y = y + x[window] @ weight[a, b]                                # (B, H_out, W_out, C_out)
    return y, (x, params, stride, padding)


def backward(dy, cache):
    """Gradients of `forward`. dy: (B, H_out, W_out, C_out). Returns dx (B, H, W, C) and grads.

    A pixel was read by up to k² outputs, so it collects up to k² gradients: overlapping windows add up.
    """
    x, params, stride, padding = cache
    weight = params["weight"]
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for a, b, window in _windows(x.shape, len(weight), stride):
        dx[window] += dy @ weight[a, b].T
        dweight[a, b] = np.einsum("bijc,bijo->co", x[window], dy)
    height, width = dx.shape[1:3]
    dx = dx[:, padding:height - padding, padding:width - padding]
    return dx, {"weight": dweight, "bias": dy.sum(axis=(0, 1, 2))}


def _windows(shape, kernel, stride):
    """(a, b, index) for each place in the kernel: the pixels that this place reads, one for each output."""
    rows, columns = ((side - kernel) // stride + 1 for side in shape[1:3])
    for a in range(kernel):
        for b in range(kernel):
            yield a, b, np.s_[:, a:a + stride * rows:stride, b:b + stride * columns:stride]
