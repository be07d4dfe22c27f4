"""The photo that comes with the package, where it was cut from, and the figure that shows both."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import minivit
from minivit.explain.answers.crop_figure import crop_figure
from minivit.samples import CAT, CAT_CROP, CAT_UNCROPPED


def test_the_photo_is_cut_from_the_whole_one_where_it_is_said():
    with Image.open(CAT) as cut, Image.open(CAT_UNCROPPED) as whole:
        assert cut.size == (CAT_CROP[2] - CAT_CROP[0], CAT_CROP[3] - CAT_CROP[1])

        def difference(right, down):
            left, top, far, low = CAT_CROP
            moved = whole.crop((left + right, top + down, far + right, low + down))
            return np.abs(np.asarray(moved, float) - np.asarray(cut, float)).mean()

        differences = {(i, j): difference(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert min(differences, key=differences.get) == (0, 0) and differences[0, 0] < 3


def test_frames_pictures_and_bars_are_the_crops():
    model = minivit.load("cifar10", dtype="float64")
    with Image.open(CAT_UNCROPPED) as file:
        photo = file.convert("RGB")
    crops = {"whole": (0, 0, *photo.size), "cut": CAT_CROP}
    figure = crop_figure(photo, crops, model)
    whole, *read, bars = figure.axes
    assert [frame.get_bbox().bounds for frame in whole.patches] == [
        (left - 0.5, top - 0.5, right - left, bottom - top) for left, top, right, bottom in crops.values()]
    names = [label.get_text() for label in bars.get_yticklabels()]
    for ax, box, container in zip(read, crops.values(), bars.containers, strict=True):
        p = minivit.forward(photo.crop(box), model)
        np.testing.assert_allclose(ax.images[0].get_array(), np.clip(p.x[0] * 0.5 + 0.5, 0, 1), atol=1e-6)
        assert [bar.get_width() for bar in container] == pytest.approx([100 * dict(p.top(10))[name] for name in names])
    plt.close(figure)
