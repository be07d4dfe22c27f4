"""Each option and argument has its effect, and mistakes are told as they should be."""

import numpy as np
import pytest
from peaked import images, peaked_model
from PIL import Image

import minivit
from minivit.commands import cli, compare, outputs


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def told(capsys, *arguments):
    """(status, stdout, stderr) of a command."""
    status = cli.main([str(a) for a in arguments])
    return status, *capsys.readouterr()


def test_the_image_given_is_traced(tmp_path, photo, capsys):
    for name, arguments in (("given", [photo]), ("default", [])):
        assert told(capsys, "trace", *arguments, "-o", tmp_path / f"{name}.npz")[0] == 0
    given, default = (np.load(tmp_path / f"{name}.npz")["pixels"] for name in ("given", "default"))
    np.testing.assert_allclose(given, minivit.load().prepare(photo), atol=1e-6)
    assert np.abs(given - default).max() > 0.1


def test_a_size_is_height_by_width(tmp_path, capsys):
    arguments = ["trace", "--variant", "Ti/16", "--num-classes", "3", "--image-size", "32x48", "-o", tmp_path / "t.npz"]
    assert told(capsys, *arguments)[0] == 0
    assert np.load(tmp_path / "t.npz")["pixels"].shape == (1, 32, 48, 3)


@pytest.mark.parametrize("ending, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"),
                                           ("jpg", b"\xff\xd8")])
def test_a_figure_has_the_format_of_its_name(tmp_path, photo, capsys, ending, start):
    assert told(capsys, "explain", photo, "-o", tmp_path / f"out.{ending}")[0] == 0
    assert (tmp_path / f"out.{ending}").read_bytes().startswith(start)


def test_gradients_are_compared_where_asked(tmp_path, capsys):
    model = peaked_model()
    minivit.save(model, tmp_path / "model.safetensors", dtype="float64")
    x, dy = images(B=1), np.random.default_rng(5).standard_normal((1, 7))
    logits, cache = model.forward(x)
    _, grads = model.backward(dy, cache)
    wrong = {f"gradient of {name}": 2 * g for name, g in minivit.state_dict(model, grads).items()}
    np.savez(tmp_path / "steps.npz", pixels=x, logits=logits, dlogits=dy, **wrong)
    files = ["compare", tmp_path / "model.safetensors", tmp_path / "steps.npz"]
    assert told(capsys, *files)[0] == 0
    status, out, _ = told(capsys, *files, "--gradients")
    assert status == 1 and "gradient of head.bias" in out
    np.savez(tmp_path / "steps.npz", pixels=x, logits=logits)
    status, out, err = told(capsys, *files, "--gradients")
    assert (status, out) == (2, "") and "holds no gradient" in err and err.count("\n") == 1


def test_an_error_of_several_lines_is_one(monkeypatch, tmp_path, capsys):
    def fail(*_):
        raise ValueError("first\n   second")

    monkeypatch.setattr(compare, "run", fail)
    status, out, err = told(capsys, "compare", tmp_path / "a", tmp_path / "b")
    assert (status, out) == (2, "") and err.count("\n") == 1 and "first second" in err


def test_a_command_that_is_stopped_ends_with_130(monkeypatch, tmp_path, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare, "run", stop)
    assert told(capsys, "compare", tmp_path / "a", tmp_path / "b") == (130, "", "minivit: stopped\n")


def test_results_go_to_stdout_and_errors_to_stderr(photo, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    status, out, err = told(capsys, "predict", tmp_path / "broken.png", photo, "--top", "2")
    assert status == 2 and "broken.png" in err and err.count("\n") == 1
    assert "photo.png" in out and out.count("%") == 2


def test_a_new_run_may_stand_beside_a_folder_of_any_name(tmp_path):
    for name in ("run", "model.safetensors", "state.safetensors"):
        (tmp_path / name).mkdir()
    outputs.check_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists() and len(list(tmp_path.iterdir())) == 3
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is no folder"):
        outputs.check_folder(tmp_path / "file" / "new")
