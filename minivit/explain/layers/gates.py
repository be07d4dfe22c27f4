"""The relatives' activations drawn: QuickGELU beside GELU, and SwiGLU, in which one number gates another."""

import matplotlib.pyplot as plt
import numpy as np

from ... import gelu, swiglu
from ..style import COLOURS, FAINT, WIDTH, signed_limits, styled


@styled
def quick_gelu_figure(reach=6.0):
    """Three panels: GELU's erf form and the quick form; how far quick and tanh form are off; their slopes."""
    x = np.linspace(-reach, reach, 1201)
    (y, slope), (tanh, tanh_slope), (quick, quick_slope) = (gelu.forward(x, form) for form in ("erf", "tanh", "quick"))
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.2))
    axes[0].plot(x, y, label="erf form")
    axes[0].plot(x, quick, color=COLOURS[1], linestyle="--", label="quick form")
    axes[0].set(title="the function", ylabel="y", xlim=(-4, 2), ylim=(-0.3, 2))
    panels = ((axes[1], quick - y, tanh - y, "function − erf form"),
              (axes[2], quick_slope - slope, tanh_slope - slope, "slope − the erf form's"))
    for ax, off, tanh_off, title in panels:
        ax.plot(x, 1e2 * off, color=COLOURS[1], label="quick form")
        ax.plot(x, 1e2 * tanh_off, color=COLOURS[2], label="tanh form")
        ax.set(title=title, ylabel="difference (10⁻²)")
    for ax in axes:
        ax.axhline(0, color=FAINT, linewidth=0.6)
        ax.set_xlabel("x")
    axes[0].legend()
    axes[2].legend(loc="lower left", bbox_to_anchor=(0.62, 0.02))
    return figure


@styled
def swiglu_figure(reach=4.0):
    """Left: silu(a) and its slope, beside GELU. Right: silu(a) b over both inputs; the colour is the value."""
    a = np.linspace(-reach, reach, 801)
    silu = a * swiglu.sigmoid(a)
    slope = swiglu.backward(np.ones((801, 1)), (a[:, None], np.ones((801, 1))))[:, 0]
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), width_ratios=(1.2, 1))
    left.plot(a, silu, label="silu(a)")
    left.plot(a, slope, linestyle="--", label="its slope")
    left.plot(a, gelu.forward(a, with_cache=False)[0], color=FAINT, linewidth=1, label="GELU(a)")
    left.set(xlabel="a", title="the gate", ylim=(-0.5, 2.5), xlim=(-reach, 2.5))
    left.legend(loc="upper left")
    grid = np.linspace(-reach, reach, 81)
    value = swiglu.forward(np.concatenate(np.broadcast_arrays(grid[:, None, None], grid[None, :, None]), axis=-1),
                           with_cache=False)[0][..., 0]                     # (a, b)
    mesh = right.imshow(value.T, origin="lower", extent=(-reach, reach, -reach, reach), **signed_limits(value))
    right.set(xlabel="a", ylabel="b", title="silu(a) b")
    figure.colorbar(mesh, ax=right, label="value")
    return figure
