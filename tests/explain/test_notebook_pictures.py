"""What a notebook is handed to show, without a kernel of its own: test_showing.py has these."""

import base64
import io
from types import SimpleNamespace

import IPython.display
import pytest
from PIL import Image

import minivit
from minivit.explain import showing


def test_a_notebooks_picture_has_twice_the_pixels_of_its_room(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda data, raw, metadata: shown.append((data, metadata)))
    monkeypatch.setattr(showing, "notebook", lambda: SimpleNamespace(execution_count=1))
    minivit.forward(minivit.samples.CAT).show()
    (data, metadata), = shown
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as picture:
        assert picture.width == pytest.approx(2 * metadata["image/png"]["width"], abs=2)
