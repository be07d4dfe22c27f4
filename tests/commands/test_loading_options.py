"""Every command that loads a model takes what the messages of loading ask for."""

import checkpoint_files
import pytest
from checkpoint_files import small_model
from peaked import peaked_model

import minivit
from minivit import samples
from minivit.checkpoints import loading
from minivit.commands import cli


@pytest.fixture
def weights(tmp_path):
    """A file that tells neither heads nor grid, behind a prefix, beside a copy."""
    config = minivit.variants.as_config(checkpoint_files.CONFIG, image_size=(8, 12))
    tensors = checkpoint_files.timm(peaked_model(config))
    content = {prefix + name: array for prefix in ("a.", "b.") for name, array in tensors.items()}
    return checkpoint_files.write("timm", content, tmp_path)


OPTIONS = ["--num-heads", "2", "--image-size", "8x12", "--layer-norm-eps", "1e-5", "--gelu", "tanh", "--prefix", "b."]


@pytest.mark.parametrize("command", [["predict", "--sample"], ["trace"], ["explain", "--sample", "-o", "a.png"],
                                     ["explore", "-o", "site"]])
def test_what_is_asked_for_can_be_given(command, weights, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = []
    original = loading.load
    monkeypatch.setattr(loading, "load", lambda *a, **k: loaded.append(original(*a, **k)) or loaded[-1])
    asked = []
    for given in ([], OPTIONS[-2:], OPTIONS):
        status = cli.main([*command, "--model", str(weights), *given])
        said = capsys.readouterr().err
        asked += [option for option in OPTIONS if f"(on the command line {option})" in said]
        assert status == (0 if given == OPTIONS else 2), said
    assert asked == ["--prefix", "--num-heads", "--image-size"]
    config = loaded[-1].config
    assert (config.num_heads, config.height_width, config.layer_norm_eps, config.gelu) == (2, (8, 12), 1e-5, "tanh")


def test_compare_evaluate_and_train_take_them_too(weights, capsys, tmp_path):
    for command in (["compare", str(weights), "cifar10"], ["evaluate", str(tmp_path), "--model", str(weights)],
                    ["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--start", str(weights)]):
        assert cli.main(command) == 2
        assert "--prefix)" in capsys.readouterr().err
        assert cli.main([*command, "--prefix", "b."]) == 2
        assert "--num-heads)" in capsys.readouterr().err


def test_options_of_a_file_do_not_go_with_a_variant(capsys):
    assert cli.main(["trace", str(samples.CAT), "--variant", "Ti/16", "--num-heads", "6"]) == 2
    assert "--num-heads goes with --model: a variant has its own" in capsys.readouterr().err


def test_a_pool_and_a_key(tmp_path, capsys):
    tensors = checkpoint_files.timm(small_model())
    pooled = {("fc_" + name if name.startswith("norm.") else name): array for name, array in tensors.items()}
    path = checkpoint_files.write("timm", pooled, tmp_path)
    for pool in ("cls", "mean"):
        assert cli.main(["trace", "--model", str(path), "--num-heads", "2", "--pool", pool]) == 0
        assert "pool=" not in capsys.readouterr().err
    assert cli.main(["trace", "--model", str(path), "--key", "model"]) == 2
    assert "nothing under key='model'" in capsys.readouterr().err
