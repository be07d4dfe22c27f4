"""GELU, the activation of the MLP (Hendrycks & Gimpel 2016; ViT paper section 3.1).

    erf form    gelu(x) = x Φ(x),  Φ(x) = (1 + erf(x / √2)) / 2, the standard normal distribution function
                gelu'(x) = Φ(x) + x φ(x),  φ(x) = exp(-x²/2) / √(2π), its density

    tanh form   gelu(x) ≈ x (1 + t) / 2,  t = tanh(u),  u = √(2/π) (x + 0.044715 x³)
                gelu'(x) = (1 + t + x (1 - t²) u') / 2,  u' = √(2/π) (1 + 3 · 0.044715 x²)

    quick form  gelu(x) ≈ x σ(1.702 x),  gelu'(x) = σ + 1.702 x σ (1 - σ),  σ(u) = (1 + tanh(u / 2)) / 2

A prime marks the derivative by x. The tanh form was fitted to the other by its authors, and differs from it by up to
5e-4, the quick form by up to 2e-2. Google's code uses the tanh form, timm, Hugging Face and torchvision the erf form,
OpenAI's CLIP the quick form.
"""

import math

import numpy as np

from .engine.erf import erf
from .engine.tiles import by_rows

SQRT_HALF = math.sqrt(0.5)
NORMAL_PEAK = 1 / math.sqrt(2 * math.pi)                                # φ(0)
TANH_SCALE = math.sqrt(2 / math.pi)
TANH_CUBIC, QUICK_SCALE = 0.044715, 1.702


def forward(x, form="erf", with_cache=True, out=None):
    """gelu(x), elementwise. x: any shape. form: "erf", "tanh" or "quick". with_cache: False where no backward pass
    follows. out: an array for y, C-contiguous; it may be `x` itself where the caller has no further use for it.
    Returns y, of the shape of x, and the cache: the slope gelu'(x), made while Φ(x) or t is at hand.
    """
    y = np.empty_like(x, order="C") if out is None else out
    function = {"erf": erf_form, "tanh": tanh_form, "quick": quick_form}[form]
    if not with_cache:
        by_rows(function, x, y)
        return y, None
    slope = np.empty_like(y)
    by_rows(function, x, y, slope)
    return y, slope


def backward(dy, cache, out=None):
    """dx = dy gelu'(x). dy: the shape of x. out: an array for dx, which may be `dy` itself. Returns dx."""
    slope = cache
    return np.multiply(dy, slope, out=out)


def erf_form(x, y, slope=None):
    """gelu(x) written into y, and gelu'(x) into slope where one is given. y may be x, so it is written last."""
    distribution = 0.5 * (1.0 + erf(SQRT_HALF * x))                     # Φ(x)
    if slope is not None:
        density = NORMAL_PEAK * np.exp(-0.5 * x * x)                    # φ(x)
        np.add(distribution, x * density, out=slope)
    np.multiply(x, distribution, out=y)


def tanh_form(x, y, slope=None):
    """The same for the tanh form."""
    square = x * x
    t = np.tanh(TANH_SCALE * (x * (1.0 + TANH_CUBIC * square)))         # tanh(u)
    if slope is not None:
        slope_of_u = TANH_SCALE * (1.0 + 3 * TANH_CUBIC * square)               # u'
        np.multiply(0.5, 1.0 + t + x * (1.0 - t * t) * slope_of_u, out=slope)
    np.multiply(x, 0.5 * (1.0 + t), out=y)


def quick_form(x, y, slope=None):
    """The same for the quick form."""
    gate = 0.5 * (1.0 + np.tanh(0.5 * QUICK_SCALE * x))                 # σ(1.702 x)
    if slope is not None:
        np.add(gate, QUICK_SCALE * x * gate * (1.0 - gate), out=slope)
    np.multiply(x, gate, out=y)
