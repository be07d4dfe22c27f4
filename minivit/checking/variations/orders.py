"""Orders a port may have mixed up: of pixels and colours in a patch, of patches, and of their positions."""

import itertools

import numpy as np

from ... import patch_embedding
from ...checkpoints import position_resampling
from .changes import in_patches, in_positions
from .switches import Variation


def of_pixels(model):
    """The order in which a patch is flattened, colours are stored, and patches are taken."""
    P, axes = model.config.patch_size, ("row", "column", "colour")

    def weight_as(a, order, back):
        sides = (P, P, 3)
        if back:
            return a.reshape(*(sides[i] for i in order), -1).transpose(*np.argsort(order), 3).reshape(a.shape)
        return a.reshape(*sides, -1).transpose(*order, 3).reshape(a.shape)

    for order in list(itertools.permutations(range(3)))[1:]:
        for back in (True, False):
            yield Variation(f"patches are flattened in another order: ({', '.join(axes[i] for i in order)})",
                            ("patches", "patch_embedding"),
                            in_patches(lambda a, order=order, back=back: weight_as(a, order, back)))
    yield Variation("the colours are in the order blue, green, red", ("pixels",), input=lambda x: x[..., ::-1])
    yield Variation("the colours are in the order blue, green, red", ("patches", "patch_embedding"),
                    cut=lambda x: x[..., ::-1])
    yield Variation("patches are taken column by column", ("patches", "patch_embedding"),
                    cut=lambda x: _columns_first(x, P))


def _columns_first(x, P):
    patches = patch_embedding.patchify(x, P)
    grid = x.shape[1] // P, x.shape[2] // P
    return patch_embedding.unpatchify(patches[:, _down_the_columns(*grid)], P, grid)


def _down_the_columns(rows, columns):
    return np.arange(rows * columns).reshape(rows, columns).T.ravel()


def resamplings(model):
    """Other ways to resample positions, for a model loaded at another image size than it was trained at."""
    origin = model.origin
    if origin is None or origin.grid in (None, model.config.grid):
        return
    table = origin.positions.astype(model.dtype)
    for way in sorted(position_resampling.WAYS, key=lambda way: way == origin.resample):
        new = position_resampling.resample(table, origin.grid, model.config.grid, way)
        cause = (f'positions are resampled otherwise: resample="{way}", found "{origin.resample}"'
                 if way != origin.resample else f'positions are resampled alike ("{way}"), but in float32')
        yield Variation(cause, ("embedded",), in_positions(lambda _, new=new: new), tolerance=1e-6)


def of_positions(model):
    """Which position belongs to which token, and whether [CLS] has one."""
    cls = int(model.config.class_token)
    columns_first = _down_the_columns(*model.config.grid)

    def patches(change):
        return in_positions(lambda t: np.concatenate([t[:, :cls], change(t[:, cls:])], axis=1))

    changes = {"positions run column by column": patches(lambda t: t[:, columns_first]),
               "positions run column by column ": patches(lambda t: t[:, np.argsort(columns_first)]),
               "positions run from the last patch to the first": patches(lambda t: t[:, ::-1]),
               "positions are missing": in_positions(np.zeros_like)}
    if cls:
        changes |= {"[CLS] has its position last": in_positions(lambda t: np.roll(t, -1, axis=1)),
                    "[CLS] has its position last ": in_positions(lambda t: np.roll(t, 1, axis=1)),
                    "[CLS] has no position: positions are added before it": in_positions(
                        lambda t: np.concatenate([np.zeros_like(t[:, :1]), t[:, 1:]], axis=1))}
    for cause, change in changes.items():
        yield Variation(f"the position order is another: {cause.strip()}", ("embedded",), change)
