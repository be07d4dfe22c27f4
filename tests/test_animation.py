"""The animation of README and chapter 00: small, moving, and made of the model's own numbers."""

import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minivit

ROOT = Path(__file__).parents[1]
GIF = ROOT / "docs" / "pictures" / "forward.gif"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_animation", ROOT / "notebooks" / "make_animation.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stage(script):
    with Image.open(minivit.samples.CAT) as photo:
        return script.Stage(minivit.forward(minivit.samples.CAT), photo.convert("RGB"))


def test_the_stored_animation_is_small_plays_for_ever_and_is_shown():
    assert 100_000 < GIF.stat().st_size <= 2_000_000
    with Image.open(GIF) as animation:
        assert animation.n_frames > 40 and animation.info["loop"] == 0
    assert "docs/pictures/forward.gif" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_answer_grows_to_the_models_probabilities(script, stage):
    script.the_answer_is_read(stage)
    last = np.asarray(stage.frames[-1])
    for k, (_, p) in enumerate(stage.prediction.top(5)):
        colour = script.BLUE if k == 0 else (150, 180, 205)
        width = (last[60 + 40 * k + 13] == colour).all(axis=-1).sum()
        assert width == pytest.approx(320 * p, abs=2)


def test_the_picture_beside_the_arcs_is_dyed_by_the_weights(script, stage):
    weights = np.full((65, 65), 0.001)
    weights[0, 1 + 18] = 1.0                                            # [CLS] looks at patch 18: row 2, column 2
    image = Image.new("RGB", script.SIZE)
    stage.draw_attention(image, weights, 0)
    side, (left, top) = script.SMALL
    shown = np.asarray(image.crop((left, top, left + side, top + side))).reshape(8, side // 8, 8, side // 8, 3)
    dyed = (shown == script.ORANGE).all(axis=(1, 3, 4))
    assert dyed[2, 2] and dyed.sum() == 1


def test_patches_leave_their_place_in_the_picture_for_their_place_in_the_row(script, stage):
    boxes = [stage.patch_box(n) for n in range(64)]
    assert boxes[0][:2] == ((script.SIZE[0] - script.BIG) // 2, script.BIG_TOP)
    assert boxes[9][0] == boxes[1][0] and boxes[9][1] == boxes[8][1] > boxes[1][1]
    places = [stage.token_box(token) for token in range(65)]
    assert all(a[2] < b[0] for a, b in pairwise(places)) and places[-1][2] < script.SIZE[0]
    assert script.between(boxes[5], places[6], 0) == boxes[5] and script.between(boxes[5], places[6], 1) == places[6]
