"""GELU, the activation of the MLP (Hendrycks & Gimpel 2016; ViT paper section 3.1).

    erf form    gelu(x) = x Φ(x),  Φ(x) = (1 + erf(x / √2)) / 2, the standard normal distribution function
                gelu'(x) = Φ(x) + x φ(x),  φ(x) = exp(-x²/2) / √(2π), its density

    tanh form   gelu(x) ≈ x (1 + t) / 2,  t = tanh(u),  u = √(2/π) (x + 0.044715 x³)
                gelu'(x) = (1 + t) / 2 + x (1 - t²) u' / 2,  u' = √(2/π) (1 + 3 · 0.044715 x²)

Google's code uses the tanh form; timm, Hugging Face and torchvision the erf form. They differ by up to 5e-4.
"""

import math

import numpy as np

from .engine.erf import erf
from .engine.tiles import in_blocks

SQRT_HALF = math.sqrt(0.5)
NORMAL_PEAK = 1 / math.sqrt(2 * math.pi)
TANH_SCALE = math.sqrt(2 / math.pi)
TANH_CUBIC = 0.044715


def forward(x, form="erf", keep=True, out=None):
    """gelu(x), elementwise. x: any shape. form: "erf" or "tanh". keep: False where no backward pass follows.

    out: an array for y, C-contiguous; it may be `x` itself where the caller has no further use for it.
    Returns y, of the shape of x, and the cache: the slope gelu'(x), made while Φ(x) is at hand.
    """
    y = np.empty_like(x, order="C") if out is None else out
    function = _erf_form if form == "erf" else _tanh_form
    if not keep:
        in_blocks(function, x, y)
        return y, None
    slope = np.empty_like(y)
    in_blocks(function, x, y, slope)
    return y, slope


def backward(dy, cache, out=None):
    """dx = dy gelu'(x). dy: the shape of x. out: an array for dx; it may be `dy` itself, as above. Returns dx."""
    slope = cache
    return np.multiply(dy, slope, out=out)


def _erf_form(x, y, slope=None):
    distribution = erf(x * SQRT_HALF)
    distribution += 1.0
    distribution *= 0.5                                                 # Φ(x)
    if slope is not None:
        np.multiply(x, x, out=slope)
        slope *= -0.5
        np.exp(slope, out=slope)
        slope *= NORMAL_PEAK                                            # φ(x)
        slope *= x
        slope += distribution                                           # Φ(x) + x φ(x)
    np.multiply(x, distribution, out=y)                                 # last: y may be x


def _tanh_form(x, y, slope=None):
    square = x * x
    t = TANH_CUBIC * square
    t += 1.0
    t *= x
    t *= TANH_SCALE                                                     # u
    np.tanh(t, out=t)
    if slope is not None:
        np.multiply(square, 3 * TANH_CUBIC, out=slope)
        slope += 1.0
        slope *= TANH_SCALE                                             # u'
        slope *= 1.0 - t * t
        slope *= x
        slope += t
        slope += 1.0
        slope *= 0.5                                                    # (1 + t + x (1 - t²) u') / 2
    t += 1.0
    t *= 0.5
    np.multiply(x, t, out=y)                                            # last: y may be x
