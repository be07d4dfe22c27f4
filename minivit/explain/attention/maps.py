"""Where a token looks: one row of an attention matrix, laid out on the grid of patches again."""

import matplotlib.pyplot as plt
import numpy as np

from ..style import COLOURS, WIDTH, bare, draw_picture, styled


def attention_map(attention, query, grid, before=None):
    """What the token `query` gives to each patch: (..., T, T) -> (..., rows, columns).

    query: the token's number, 0 for [CLS] where there is one. before: as `names_before` has it. A map sums to one
    minus the weight of the tokens before the patches, which lie outside the image. Raises ValueError for a grid that T
    does not fit.
    """
    T = attention.shape[-1]
    to_patches = attention[..., query, len(names_before(T, grid, before)):]                # (..., N)
    return to_patches.reshape(*to_patches.shape[:-1], *grid)


def names_before(T, grid, before=None):
    """Names of the tokens before the patches: `before`, by default [CLS] or none, as T tokens have it.

    before: what relatives.tokens_before(config) returns, needed where there are others than [CLS]. Raises ValueError.
    """
    rows, columns = grid
    N = rows * columns
    expected = {N: (), N + 1: ("[CLS]",)} if before is None else {N + len(before): before}
    if T not in expected:
        told = f"{N} or, with [CLS], {N + 1}" if before is None else f"with {len(before)} before them {N + len(before)}"
        more = "; a relative's tokens are named by before=tokens_before(config)" if before is None and T > N else ""
        raise ValueError(f"a grid of {rows} x {columns} patches makes {told} tokens; the attention is between "
                         f"{T}{more}")
    return expected[T]


@styled
def attention_maps_figure(image, attention, grid, queries, title=None, over=False, before=None):
    """One row per query: the image with the query marked, then what each head looks at from there.

    image: (H, W, 3), floats in [0, 1] or uint8. attention: (H, T, T) of one layer. queries: numbers of tokens.
    over: whether the maps lie over the image, in grey. before: as `names_before` has it. The maps of one row share a
    scale, and the title of each says what the head gives to [CLS], or to all tokens before the patches. Returns a
    figure.
    """
    H, T = attention.shape[:2]
    names = names_before(T, grid, before)
    outside = names[0] if len(names) == 1 else "before"
    comma, size = (", ", 10.5) if H <= 4 else (",\n", 10.5 if H <= 8 else 8)            # titles as wide as the maps
    height = 2.25 if H <= 4 else 0.9 * WIDTH / (H + 1) + 0.55
    figure, axes = plt.subplots(len(queries), H + 1, figsize=(WIDTH, height * len(queries) + 0.4), squeeze=False)
    for query, row in zip(queries, axes):
        maps = attention_map(attention, query, grid, before)            # (H, rows, columns)
        _draw_query(row[0], image, query, grid, names, comma, size)
        for h, ax in enumerate(row[1:]):
            mesh = draw_map(ax, maps[h], maps.max(), image if over else None)
            bare(ax)
            own = f"{outside} {attention[h, query, :len(names)].sum():.2f}" if names else ""
            ax.set_title(comma.join(filter(None, [f"head {h}", own])), fontsize=size)
        figure.colorbar(mesh, ax=row[1:].tolist(), label="weight", shrink=0.9)
    figure.suptitle(title)
    return figure


def draw_map(ax, weights, largest, image=None):
    """A map (rows, columns) on a scale from 0 to `largest`; over the image, in grey, where one is given."""
    if image is None:
        return ax.imshow(weights, vmin=0, vmax=largest)
    height, width = np.shape(image)[:2]
    grey = np.asarray(image, float).mean(axis=-1)
    ax.imshow(grey, cmap="gray", vmin=0, vmax=1.0 if grey.max() <= 1 else 255.0)
    shown = np.repeat(np.repeat(weights, height // weights.shape[0], axis=0), width // weights.shape[1], axis=1)
    return ax.imshow(shown, cmap="inferno", vmin=0, vmax=largest, alpha=0.65)


def _draw_query(ax, image, query, grid, names, comma, size):
    """The image, with the patch framed that asks; names: of the tokens that have no place in it."""
    rows, columns = grid
    draw_picture(ax, image)
    patch = query - len(names)
    if patch < 0:
        ax.set_title(f"from {names[query]}", fontsize=size)
    else:
        height, width = np.shape(image)[0] / rows, np.shape(image)[1] / columns
        row, column = divmod(patch, columns)
        ax.add_patch(plt.Rectangle((column * width - 0.5, row * height - 0.5), width, height, fill=False,
                                   edgecolor=COLOURS[1], linewidth=2.5))
        ax.set_title(f"from row {row}{comma}column {column}", fontsize=size)
    bare(ax)
    ax.set(xlabel="", ylabel="")
