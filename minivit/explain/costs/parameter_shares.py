"""Where a model's parameters are: counted from its arrays, section by section."""

import matplotlib.pyplot as plt

from ...trees import flatten
from ..style import COLOURS, WIDTH, styled

SECTIONS = {"patch embedding": ("patch_embed.",), "[CLS] and positions": ("cls_token", "pos_embed"),
            "attention": (".attn.",), "MLP": (".mlp.",), "LayerNorms": (".norm1.", ".norm2.", "norm.", "fc_norm."),
            "head": ("head.",)}
RELATIVES = {"attention pooling": ("attn_pool.",), "LayerScale": (".ls1.", ".ls2."),
             "other tokens": ("dist_token", "reg_token"), "second head": ("head_dist.",),
             "norm before the layers": ("norm_pre.",)}


def parameter_shares(params):
    """{section: number of parameters}, the plain ViT's in the network's order, then what a relative has besides.

    Raises ValueError for a tensor of no known section.
    """
    shares = dict.fromkeys(SECTIONS, 0)
    sections = RELATIVES | SECTIONS                         # attention pooling first: it has an MLP of its own
    for name, array in flatten(params).items():
        section = next((s for s, parts in sections.items()
                        if any(part in name if part[0] == "." else name.startswith(part) for part in parts)), None)
        if section is None:
            raise ValueError(f"{name} belongs to none of the sections {', '.join(SECTIONS)}")
        shares[section] = shares.get(section, 0) + array.size
    return shares


@styled
def parameter_shares_figure(shares):
    """Horizontal bars in millions, one panel a model. shares: {title: what `parameter_shares` returns}."""
    figure, axes = plt.subplots(1, len(shares), figsize=(WIDTH, 2.9), squeeze=False, sharey=True)
    for ax, (title, counts) in zip(axes[0], shares.items()):
        total, millions = sum(counts.values()), [count / 1e6 for count in counts.values()]
        bars = ax.barh(list(counts), millions, color=COLOURS[0])
        ax.bar_label(bars, [f"{count / total:.1%}" for count in counts.values()], padding=3)
        ax.set(title=f"{title}: {total:,}", xlabel="parameters (millions)", xlim=(0, 1.2 * max(millions)))
    axes[0, 0].invert_yaxis()
    return figure
