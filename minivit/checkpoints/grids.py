"""The grid of patches that a table of positions was trained on: what is told and fits, else a square, else a question.

A table has one row a patch, and more for [CLS] and the distillation token in every format but big_vision's and some of
timm's.
"""

import math


def trained_size(rows, prefix, patch_size, cls_row, told=None, wanted=None):
    """(pixels of the images that a table of `rows` positions was trained on, None), or (None, a question).

    Pixels are one number, or (height, width). prefix: how many tokens before the patches may have a position. cls_row:
    whether they have one: True, False, or None where the format leaves it open. told: the source's image size; wanted:
    the caller's. The question is asked where nothing fits, or more than one thing.
    """
    for size in (told, wanted):
        if size is not None and fits(size, patch_size, rows, prefix, cls_row):
            return size, None
    cls = 0 if cls_row is False else prefix         # a square without a row for [CLS] is another grid with one
    side = math.isqrt(max(rows - cls, 0))
    if side and side * side == rows - cls:
        return side * patch_size, None
    advice = "give image_size=(height, width) of the training (on the command line --image-size)"
    if wanted is not None:
        advice = (f"image_size={wanted} does not fit them either: load the weights with the image_size of their "
                  "training, minivit.save them, and load that file with another image_size")
    open_question = cls and cls_row is None and math.isqrt(rows) ** 2 == rows
    shape = "a square grid without [CLS], or another grid with it" if open_question else \
        f"no square grid{' beside [CLS]' if cls else ''}"
    return None, f"its {rows} positions cover {shape}: {advice}"


def fits(size, patch_size, rows, prefix, cls_row):
    """Whether images of this size have as many patches as the table has rows, with or without those of the prefix."""
    height, width = (size, size) if isinstance(size, int) else size
    patches = (height // patch_size) * (width // patch_size)
    exact = height % patch_size == 0 and width % patch_size == 0
    with_prefix, without = prefix and cls_row is not False, not prefix or cls_row is not True
    return exact and bool((with_prefix and rows == patches + prefix) or (without and rows == patches))
