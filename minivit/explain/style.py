"""How every figure looks: sizes that stay readable at the width GitHub shows, colours that colour-blind readers see.

    @styled
    def some_figure(...):
        figure, axes = plt.subplots(figsize=(WIDTH, 3))

Viridis for magnitudes, purple to orange with white at zero for signed numbers, both safe for colour-blind readers.
"""

import functools

import matplotlib
import numpy as np

WIDTH = 10                                                              # inches; at 85 dpi, 850 pixels
MAGNITUDE = "viridis"
SIGNED = "PuOr"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")        # Okabe and Ito, 2008
FAINT = "#888888"

STYLE = {
    "figure.dpi": 85, "savefig.dpi": 85, "figure.constrained_layout.use": True,
    "font.size": 11, "axes.titlesize": 11.5, "axes.labelsize": 11, "xtick.labelsize": 10, "ytick.labelsize": 10,
    "legend.fontsize": 10, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "image.cmap": MAGNITUDE, "image.interpolation": "nearest", "figure.max_open_warning": 0,
}


def styled(draw):
    """Decorator: run a drawing function under STYLE, and leave the reader's own settings as they were."""
    @functools.wraps(draw)
    def draw_styled(*args, **kwargs):
        # rc_context would put back all settings: also `interactive`, which a notebook switches on at its first figure.
        before = {name: matplotlib.rcParams[name] for name in STYLE}
        matplotlib.rcParams.update(STYLE)
        try:
            return draw(*args, **kwargs)
        finally:
            matplotlib.rcParams.update(before)

    return draw_styled


def signed_limits(array):
    """{"cmap", "vmin", "vmax"} for imshow, symmetric around zero, so that white means zero."""
    largest = float(np.abs(array).max()) or 1.0
    return {"cmap": SIGNED, "vmin": -largest, "vmax": largest}


def draw_picture(ax, image, title=None):
    """Show an RGB image, floats in [0, 1] or uint8 (H, W, 3), with its axes in pixels."""
    ax.imshow(image)
    ax.set(xlabel="column (pixels)", ylabel="row (pixels)", title=title)


def draw_patch_lines(ax, height_width, patch_size, colour="white"):
    """Lines between the patches of a picture that `ax` shows in pixels."""
    height, width = height_width
    for column in range(patch_size, width, patch_size):
        ax.axvline(column - 0.5, color=colour, linewidth=0.7)
    for row in range(patch_size, height, patch_size):
        ax.axhline(row - 0.5, color=colour, linewidth=0.7)


def bare(ax):
    """Take ticks and frame away, where a picture needs no scale."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
