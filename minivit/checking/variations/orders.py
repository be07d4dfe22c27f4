"""Orders a port may have mixed up: of pixels and channels in a patch, of patches, of tokens and of their positions."""

import itertools

import numpy as np

from ... import patch_embedding
from ...checkpoints import position_resampling
from .changes import in_entry, in_patches
from .variation import Variation

PATCHES = ("patches", "patch_embedding")


def of_pixels(model):
    """The order in which a patch is flattened, channels are stored, and patches are taken."""
    P, axes = model.config.patch_size, ("row", "column", "channel")

    def flattened(x, P, order):
        patches = patch_embedding.patchify(x, P)                        # (B, N, P²C)
        sides = patches.reshape(*patches.shape[:2], P, P, 3)
        return sides.transpose(0, 1, *(2 + i for i in order)).reshape(patches.shape)

    for order in list(itertools.permutations(range(3)))[1:]:
        cause = f"patches are flattened in another order: ({', '.join(axes[i] for i in order)})"
        yield Variation(cause, PATCHES, choices={"cut": lambda x, P, order=order: flattened(x, P, order)})
        # The same of the kernel alone, where the reference's patches are in minivit's order.
        for sides in ((P, P, 3), tuple((P, P, 3)[i] for i in order)):
            turn = order if sides == (P, P, 3) else np.argsort(order)
            yield Variation(cause, ("patch_embedding",), in_patches(
                lambda a, sides=sides, turn=turn: a.reshape(*sides, -1).transpose(*turn, 3).reshape(a.shape)))
    yield Variation("the channels are in the order blue, green, red", ("pixels",), input=lambda x: x[..., ::-1])

    def cut(change):
        return {"cut": lambda x, P: patch_embedding.patchify(change(x), P)}

    pictures = {"the channels are in the order blue, green, red": lambda x: x[..., ::-1],
                "patches are taken column by column": lambda x: _columns_first(x, P),
                "the image is mirrored, left to right": lambda x: x[:, :, ::-1],
                "the image stands on its head": lambda x: x[:, ::-1],
                "the image is turned by half a turn": lambda x: x[:, ::-1, ::-1],
                "rows and columns of the image are swapped": lambda x: x.swapaxes(1, 2),
                "the pixels are grey: each channel is their mean": lambda x: np.broadcast_to(x.mean(-1, keepdims=True),
                                                                                            x.shape),
                "the pixels are multiplied by 255": lambda x: x * 255,
                "the pixels are divided by 255": lambda x: x / 255}
    for words, change in pictures.items():
        yield Variation(words, PATCHES, choices=cut(change))
    yield Variation("patches are cut by a reshape without the transpose: each is a run of the image's rows", PATCHES,
                    choices={"cut": lambda x, P: x.reshape(len(x), -1, P * P * 3)})
    yield Variation("patches are taken from the last to the first", PATCHES,
                    choices={"cut": lambda x, P: patch_embedding.patchify(x, P)[:, ::-1]})

    def kernel(change):
        return in_patches(lambda a: change(a.reshape(P, P, 3, -1)).reshape(a.shape))

    yield Variation("the patch kernel is turned by half a turn, as a true convolution does it", PATCHES,
                    kernel(lambda a: a[::-1, ::-1]))
    yield Variation("the patch kernel is mirrored, left to right", PATCHES, kernel(lambda a: a[:, ::-1]))
    yield Variation("the patch kernel stands on its head", PATCHES, kernel(lambda a: a[::-1]))


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
        yield Variation(cause, ("embedded",), in_entry("pos_embed", lambda _, new=new: new), tolerance=1e-6)


def of_positions(model):
    """Which position belongs to which token, and whether [CLS] has one."""
    cls = model.config.position_rows - model.config.num_patches
    columns_first = _down_the_columns(*model.config.grid)

    def patches(change):
        return lambda t: np.concatenate([t[:, :cls], change(t[:, cls:])], axis=1)

    changes = {"positions run column by column": patches(lambda t: t[:, columns_first]),
               "positions run column by column ": patches(lambda t: t[:, np.argsort(columns_first)]),
               "positions run from the last patch to the first": patches(lambda t: t[:, ::-1]),
               "positions are missing": np.zeros_like,
               "positions are added twice": lambda t: 2 * t,
               "positions are subtracted": lambda t: -t,
               "positions run from the last token to the first": lambda t: t[:, ::-1],
               "every token has the mean of all positions":
                   lambda t: np.broadcast_to(t.mean(axis=1, keepdims=True), t.shape),
               "every token has the first one's position": lambda t: np.broadcast_to(t[:, :1], t.shape),
               "positions are one place late": patches(lambda t: np.roll(t, 1, axis=1)),
               "positions are one place early": patches(lambda t: np.roll(t, -1, axis=1))}
    lacking = model.config.num_tokens - model.config.position_rows
    if lacking:
        # Of as many rows as there are tokens, a table is added as it stands.
        changes["they are added to the first tokens, registers among them, instead of to the patches"] = \
            lambda t: np.concatenate([t, np.zeros_like(t, shape=(1, lacking, t.shape[2]))], axis=1)
    if cls:
        changes |= {"[CLS] has its position last": lambda t: np.roll(t, -1, axis=1),
                    "[CLS] has its position last ": lambda t: np.roll(t, 1, axis=1),
                    "[CLS] has no position: positions are added before it":
                        lambda t: np.concatenate([np.zeros_like(t[:, :1]), t[:, 1:]], axis=1),
                    "[CLS] has a position, the patches have none":
                        lambda t: np.concatenate([t[:, :1], np.zeros_like(t[:, 1:])], axis=1)}
    for cause, change in changes.items():
        yield Variation(f"the position order is another: {cause.strip()}", ("embedded",),
                        in_entry("pos_embed", change))


def of_tokens(model):
    """Where [CLS] and the relatives' tokens stand, and what they are."""
    yield from _of_other_tokens(model)
    if not model.config.class_token:
        return
    yield Variation("[CLS] stands after the patches instead of before them", ("tokens", "embedded"), choices={
        "join": lambda x, params: np.concatenate([x, np.repeat(params["cls_token"], len(x), axis=0)], axis=1)})
    for words, change in (("[CLS] is a token of zeros: cls_token is not loaded", np.zeros_like),
                          ("[CLS] is a token of ones", np.ones_like), ("[CLS] is added twice", lambda t: 2 * t)):
        yield Variation(words, ("tokens", "embedded"), in_entry("cls_token", change))
    yield Variation("[CLS] is the mean of the patches instead of cls_token", ("tokens", "embedded"), choices={
        "join": lambda x, params: np.concatenate([x.mean(axis=1, keepdims=True), x], axis=1)})
    yield Variation("[CLS] is added to every patch's token as well", ("tokens", "embedded"), choices={
        "join": lambda x, params: np.concatenate([np.repeat(params["cls_token"], len(x), axis=0),
                                                  x + params["cls_token"]], axis=1)})


def _of_other_tokens(model):
    """Registers and the distillation token: where they stand, or whether they are loaded."""
    names = {"reg_token": "the registers", "dist_token": "the distillation token"}
    there = [name for name in names if name in model.params]

    def joined(order):
        """A choice that puts the tokens and the patches, "x", in an order."""
        def join(x, params):
            parts = {name: np.broadcast_to(token, (len(x), *token.shape[1:])) for name, token in params.items()}
            return np.concatenate([(parts | {"x": x})[name] for name in order if name == "x" or name in parts], axis=1)
        return {"join": join}

    if "reg_token" in there:
        yield Variation("the registers stand after the patches instead of before them", ("tokens", "embedded"),
                        choices=joined(["cls_token", "dist_token", "x", "reg_token"]))
        yield Variation("the registers stand before [CLS] instead of after it", ("tokens", "embedded"),
                        choices=joined(["reg_token", "cls_token", "dist_token", "x"]))
    if "dist_token" in there:
        yield Variation("the distillation token stands before [CLS] instead of after it", ("tokens", "embedded"),
                        choices=joined(["dist_token", "cls_token", "reg_token", "x"]))
        yield Variation("the distillation token stands after the patches instead of before them",
                        ("tokens", "embedded"), choices=joined(["cls_token", "reg_token", "x", "dist_token"]))
    for name in there:
        verb = "are" if name == "reg_token" else "is"
        yield Variation(f"{names[name]} {verb} zero: {name} is not loaded", ("tokens", "embedded"),
                        in_entry(name, np.zeros_like))
