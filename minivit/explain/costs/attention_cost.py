"""What attention costs, counted: multiply-adds and bytes against tokens, and so against the image's side.

    T = (R/P)² + 1                      tokens of an image of R × R pixels
    pairs:   L · 2T²D       MACs        q kᵀ and A v, quadratic in T: to the fourth power of R
    tokens:  L · T(4D² + 2DM)           qkv, proj and MLP, linear in T: quadratic in R
    equal where 2T²D = T(4D² + 2DM), at T = 2D + M
"""

import matplotlib.pyplot as plt
import numpy as np

from ...counting import macs
from ...variants import as_config
from ..style import COLOURS, FAINT, WIDTH, bare, draw_patch_lines, styled


def pair_macs(config):
    """MACs of q kᵀ and A v in all layers, one image: every token with every token."""
    return config.num_layers * 2 * config.num_tokens ** 2 * config.width


def token_macs(config):
    """MACs of the linear maps in all layers, one image: every token for itself."""
    return config.num_layers * config.num_tokens * (4 * config.width ** 2
                                                    + _mlp_maps(config) * config.width * config.mlp_width)


def pair_share(config):
    """The part of all MACs, patch embedding and head included, that is q kᵀ and A v: 0 to 1."""
    return pair_macs(config) / macs(config)


def attention_bytes(config, itemsize=4):
    """Bytes of the attention matrices of all layers and heads, one image: what a plain backward pass must keep.

    minivit keeps none of them: `attention.backward` computes them anew.
    """
    return config.num_layers * config.num_heads * config.num_tokens ** 2 * itemsize


def crossing_tokens(config):
    """The number of tokens at which pairs cost as much as tokens: T = 2D + M, with SwiGLU 2D + 3M/2."""
    return 2 * config.width + _mlp_maps(config) * config.mlp_width // 2


def _mlp_maps(config):
    """How many D × M maps an MLP has: 2, with SwiGLU 3."""
    return 2 + config.gated_mlp


def crossing_side(config):
    """The side in pixels of the square image that has `crossing_tokens`, what stands before the patches
    included; not a whole number.
    """
    return config.patch_size * float(np.sqrt(crossing_tokens(config) - config.num_prefix))


@styled
def tokens_figure(pictures, patch_size):
    """The same photo at several sides: above, cut into patches; below, its attention matrix, all to one scale.

    pictures: square RGB arrays of growing side. The matrix of T × T weights grows with the fourth power of the side.
    Returns a figure.
    """
    figure, axes = plt.subplots(2, len(pictures), figsize=(WIDTH, 5.2), height_ratios=(0.6, 1))
    tokens = [(len(p) // patch_size) ** 2 + 1 for p in pictures]
    for picture, T, (above, below) in zip(pictures, tokens, axes.T):
        side = len(picture)
        above.imshow(picture)
        draw_patch_lines(above, (side, side), patch_size)
        bare(above)
        above.set_title(f"{side} × {side} pixels\n{T - 1} patches and [CLS]: T = {T}")
        below.add_patch(plt.Rectangle((0, 0), T, T, color=COLOURS[0]))
        below.set(xlim=(0, max(tokens)), ylim=(max(tokens), 0), aspect="equal", xlabel="key (token)",
                  ylabel="query (token)", title=f"T² = {T * T:,} weights per head")
    return figure


@styled
def counted_cost_figure(variant, sides, others=()):
    """Left: the MACs of pairs and of tokens over the side; right: the share of pairs, for `variant` and others.

    variant, others: names in minivit.VARIANTS. sides: pixels, from small to large. Returns a figure.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4))
    configs = [as_config(variant, image_size=side) for side in sides]
    left.loglog(sides, [token_macs(c) / 1e9 for c in configs], color=COLOURS[0], label="tokens: qkv, proj, MLP")
    left.loglog(sides, [pair_macs(c) / 1e9 for c in configs], color=COLOURS[1], label="pairs: q kᵀ, A v")
    left.axvline(crossing_side(configs[0]), color=FAINT, linestyle="--", linewidth=1)
    left.set(title=f"{variant}: equal at {crossing_side(configs[0]):.0f} pixels", xlabel="side of the image (pixels)",
             ylabel="GMACs, one image")
    left.legend()
    for name in (variant, *others):
        shares = [100 * pair_share(as_config(name, image_size=side)) for side in sides]
        right.semilogx(sides, shares, label=name)
    right.set(title="share of the pairs in all MACs", xlabel="side of the image (pixels)", ylabel="share (%)",
              ylim=(0, 100))
    right.legend()
    ticks = [side for side in (64, 128, 256, 512, 1024, 2048, 4096) if sides[0] <= side <= sides[-1]]
    for ax in (left, right):
        ax.set_xticks(ticks, ticks)
        ax.minorticks_off()
    return figure
