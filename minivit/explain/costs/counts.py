"""Where the parameters are and where the work is: the counts of `counting.py`, term by term, and as measured."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, styled


def cost_terms(config):
    """{step: (parameters, MACs)} of the whole model for one image; the sums are parameter_count and macs.

    MACs are multiply-adds of matrix products; 1 MAC = 2 FLOP. A relative has terms more: "LayerScale", "attention
    pooling".
    """
    D, M, L, K = config.width, config.mlp_width, config.num_layers, config.num_classes
    N, T, patch = config.num_patches, config.num_tokens, config.patch_size ** 2 * 3
    tokens = D * config.num_prefix + D * config.position_rows * config.has_position_table
    maps, heads, norms = 2 + config.gated_mlp, 1 + (config.pool == "distilled"), L * 4 * D + 2 * D
    terms = {"patch embedding": (patch * D + D * config.patch_bias, N * patch * D),
            "[CLS], positions": (tokens, 0),
            "q, k, v": (L * (D * 3 * D + 3 * D * config.qkv_bias), L * T * D * 3 * D),
            "q kᵀ and A v": (0, L * 2 * T * T * D),
            "output projection": (L * (D * D + D), L * T * D * D),
            "MLP": (L * (maps * D * M + (maps - 1) * M + D), L * T * maps * D * M),
            "LayerNorms": (norms + 2 * D * config.norm_pre, 0),
            "head": (heads * (D * K + K) if K else 0, heads * D * K)}
    if config.layer_scale:
        terms["LayerScale"] = 2 * L * D, 0
    if config.pool == "map":
        n = T - config.first_pooled                                     # tokens that the one query looks at
        terms["attention pooling"] = (D + 4 * (D * D + D) + 2 * D + 2 * D * M + M + D,
                                      2 * n * (D * D + D) + 2 * (D * D + D * M))
    return terms


class Counted(np.ndarray):
    """An array that counts the multiply-adds of every matrix product it takes part in; for looking, not for speed."""

    macs = 0
    __array_priority__ = 1                                              # joined with plain arrays, it stays counted

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [i.view(np.ndarray) if isinstance(i, Counted) else i for i in inputs]
        if out is not None:
            kwargs["out"] = tuple(o.view(np.ndarray) if isinstance(o, Counted) else o for o in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.matmul:
            Counted.macs += result.size * plain[0].shape[-1]
        return out[0] if out is not None else np.asarray(result).view(Counted)


def counted_macs(function, x):
    """The multiply-adds of the matrix products that function(x) makes, counted while it runs."""
    Counted.macs = 0
    function(x.view(Counted))
    return Counted.macs


@styled
def cost_figure(**configs):
    """Share of the parameters and of the multiply-adds in each step, a pair of bars a step. Returns a figure."""
    figure, axes = plt.subplots(1, len(configs), figsize=(WIDTH, 3.9), sharey=True, squeeze=False)
    for ax, (title, config) in zip(axes[0], configs.items()):
        terms = cost_terms(config)
        totals = np.sum(list(terms.values()), axis=0)
        shares = 100 * np.array(list(terms.values())) / totals          # (steps, 2)
        places = np.arange(len(terms))
        units = (f"parameters ({totals[0] / 1e6:.2f} M)", f"MACs ({totals[1] / 1e9:.3f} G)")
        for column, shift in ((0, -0.2), (1, 0.2)):
            bars = ax.barh(places + shift, shares[:, column], 0.38, color=COLOURS[column], label=units[column])
            ax.bar_label(bars, [f"{s:.1f}" if s >= 0.05 else ("0" if s == 0 else "< 0.1") for s in shares[:, column]],
                         padding=3, fontsize=9.5)
        ax.set_yticks(places, list(terms))
        ax.set(xlim=(0, 80), xlabel="share (%)", title=f"{title}: {config.num_tokens} tokens of {config.width}")
        ax.legend(loc="lower right")
    axes[0, 0].invert_yaxis()
    return figure
