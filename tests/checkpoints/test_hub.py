"""Models by name, from a server on loopback that speaks the hub's protocol: whole loads, and whatever goes wrong."""

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import checkpoint_files
import numpy as np
import pytest
from checkpoint_files import small_model
from hub_server import HubServer
from safetensors.numpy import save_file

import minivit
from minivit.checkpoints import folder as folders
from minivit.checkpoints import hub as by_name
from minivit.checkpoints import hub_messages
from minivit.commands import cli
from minivit.trees import flatten

ROOT = Path(__file__).parents[2]
TOKEN = "hf_secret"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The server, with huggingface_hub imported anew: it reads its environment then."""
    server = HubServer()
    home = tmp_path_factory.mktemp("home")
    mine = [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]
    before = {name: sys.modules.pop(name) for name in mine}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.address)
        patch.setenv("HF_HOME", str(home))
        patch.setenv("NO_PROXY", "*")
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGING_FACE_HUB_TOKEN"):
            patch.delenv(name, raising=False)
        yield server
    server.stop()
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture(autouse=True)
def sound(hub, monkeypatch, tmp_path):
    """A server that answers, nobody waits between tries, and no path has a model's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.cut, hub.short, hub.status = [], 0, None
    hub.asked.clear()


def cache():
    """The folder that huggingface_hub keeps its cache in."""
    return Path(os.environ["HF_HOME"]) / "hub"


def timm_folder(path, seed=0, **about):
    """A folder as timm pushes it; returns it."""
    path.mkdir()
    model = small_model(num_classes=about.get("num_classes", 3))
    tensors = checkpoint_files.timm(model)
    tensors["head.bias"] = tensors["head.bias"] + np.float32(seed)
    config = {"architecture": "vit_tiny_patch4_12", "num_classes": 3, "global_pool": "token",
              "model_args": {"num_heads": 2, "img_size": 12},
              "pretrained_cfg": {"tag": "augreg2_in21k_ft_in1k", "input_size": [3, 12, 12], "crop_pct": 0.9,
                                 "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25], "interpolation": "bicubic"}} | about
    (path / "config.json").write_text(json.dumps(config), "utf-8")
    save_file(tensors, path / "model.safetensors")
    (path / "pytorch_model.bin").write_bytes(b"\x80 a pickle")
    (path / "README.md").write_text("no file for minivit", "utf-8")
    return path


def transformers_folder(path):
    """A folder as transformers pushes it; returns it."""
    path.mkdir()
    config = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
              "intermediate_size": 12, "patch_size": 4, "image_size": 12, "layer_norm_eps": 1e-5, "hidden_act": "gelu",
              "id2label": {"0": "ant", "1": "bee", "2": "cat"}}
    preprocessor = {"do_resize": True, "size": {"height": 12, "width": 12}, "resample": 3, "do_normalize": True,
                    "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "do_rescale": True,
                    "rescale_factor": 1 / 255}
    (path / "config.json").write_text(json.dumps(config), "utf-8")
    (path / "preprocessor_config.json").write_text(json.dumps(preprocessor), "utf-8")
    save_file(checkpoint_files.hugging_face(small_model()), path / "model.safetensors")
    return path


def in_shards(path):
    """The same folder with its weights in two files and an index; returns it."""
    from safetensors.numpy import load_file
    tensors = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    places = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(sorted(tensors))}
    for file in set(places.values()):
        save_file({name: array for name, array in tensors.items() if places[name] == file}, path / file)
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), "utf-8")
    return path


def assert_same(model, other):
    assert (model.config, model.labels, model.preprocessing) == (other.config, other.labels, other.preprocessing)
    ours, theirs = flatten(model.params), flatten(other.params)
    assert list(ours) == list(theirs) and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def line(*arguments, **options):
    """The one line of a load that fails."""
    with pytest.raises(minivit.CheckpointError) as caught:
        minivit.load(*arguments, **options)
    assert "\n" not in str(caught.value) and TOKEN not in str(caught.value)
    return str(caught.value)


def test_a_timm_model_by_name_is_the_folder(hub, tmp_path):
    folder = timm_folder(tmp_path / "files")
    commit = hub.push("timm/vit_tiny_patch4_12.augreg2_in21k_ft_in1k", folder)
    model = minivit.load("timm/vit_tiny_patch4_12.augreg2_in21k_ft_in1k")
    assert_same(model, minivit.load(folder))
    assert model.name == "timm/vit_tiny_patch4_12.augreg2_in21k_ft_in1k" and model.origin.commit == commit
    assert hub.fetched() == ["config.json", "model.safetensors"]
    minivit.load("timm/vit_tiny_patch4_12.augreg2_in21k_ft_in1k")
    assert hub.fetched() == []


def test_a_transformers_model_by_name_is_the_folder(hub, tmp_path):
    folder = transformers_folder(tmp_path / "files")
    hub.push("google/vit-tiny", folder)
    model = minivit.load("google/vit-tiny", dtype="float64")
    assert_same(model, minivit.load(folder, dtype="float64"))
    assert list(model.labels) == ["ant", "bee", "cat"]
    assert model.preprocessing.mean == (0.1, 0.2, 0.3) and model.config.layer_norm_eps == 1e-5
    assert hub.fetched() == ["config.json", "model.safetensors", "preprocessor_config.json"]


def test_weights_in_shards(hub, tmp_path):
    whole = minivit.load(transformers_folder(tmp_path / "files"))
    hub.push("someone/shards", in_shards(tmp_path / "files"))
    assert_same(minivit.load("someone/shards"), whole)
    assert hub.fetched() == ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                             "model.safetensors.index.json", "preprocessor_config.json"]


@pytest.mark.parametrize("file", ["../up.safetensors", "weights.bin", "model-00009-of-00002.safetensors"])
def test_an_index_that_names_another_file(hub, tmp_path, file):
    folder = in_shards(transformers_folder(tmp_path / "files"))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": file}}), "utf-8")
    (folder / "weights.bin").write_bytes(b"\x80 a pickle")
    hub.push("someone/index", folder)
    assert line("someone/index") == "someone/index: its index names " + (
        f"the file {file!r}, which it does not hold" if "9" in file else
        f"{file!r}, which is no .safetensors file beside it")
    assert file not in hub.fetched()


def test_a_model_of_minivit_needs_no_config(hub, tmp_path):
    (tmp_path / "files").mkdir()
    model = small_model()
    minivit.save(model, tmp_path / "files" / "model.safetensors")
    hub.push("someone/ours", tmp_path / "files")
    assert_same(minivit.load("someone/ours"), minivit.load(tmp_path / "files"))
    hub.stop()
    try:
        assert_same(minivit.load("someone/ours"), minivit.load(tmp_path / "files"))
    finally:
        hub.start()


def test_a_pickle_alone_is_not_fetched(hub, tmp_path):
    folder = timm_folder(tmp_path / "files")
    (folder / "model.safetensors").unlink()
    hub.push("someone/pickle", folder)
    assert line("someone/pickle") == (
        "someone/pickle holds no model.safetensors, but pytorch_model.bin, a pickle, which is not fetched by itself: "
        "hf download someone/pickle config.json pytorch_model.bin --local-dir FOLDER, then load FOLDER with torch "
        "installed")
    assert hub.fetched() == ["config.json"]


def test_no_weights_at_all(hub, tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "README.md").write_text("nothing", "utf-8")
    hub.push("someone/nothing", tmp_path / "files")
    assert line("someone/nothing") == ("someone/nothing holds no model.safetensors, only README.md: download the file "
                                       "of weights, if one of them is, and give its path")


def test_a_download_that_breaks_off_goes_on(hub, tmp_path):
    folder = timm_folder(tmp_path / "files")
    hub.push("someone/resumed", folder)
    hub.cut = [1000]
    try:
        model = minivit.load("someone/resumed")
    except minivit.CheckpointError:                     # old versions of huggingface_hub go on with the next call
        model = minivit.load("someone/resumed")
    assert_same(model, minivit.load(folder))
    assert hub.fetched() == ["config.json", "model.safetensors", "model.safetensors"]


@pytest.mark.parametrize("spoil", [{"cut": [1000] + [0] * 50}, {"short": 100}], ids=["cut", "short"])
def test_a_truncated_download(hub, tmp_path, spoil, caplog):
    folder = timm_folder(tmp_path / "files")
    name = f"someone/truncated-{next(iter(spoil))}"
    hub.push(name, folder)
    vars(hub).update(spoil)
    said = line(name)
    assert said.startswith(f"the download of {name} failed: ")
    assert said.endswith(": load it again, what is whole is kept")
    if "short" in spoil:
        assert "file should be of size 8876 but has size 8776" in said and "Please" not in said
    assert not caplog.records and logging.getLogger("huggingface_hub").level == logging.WARNING     # its own default
    mine = cache() / ("models--" + name.replace("/", "--"))
    assert not list(mine.glob("snapshots/*/model.safetensors"))
    hub.cut, hub.short = [], 0
    assert_same(minivit.load(name), minivit.load(folder))


def test_a_name_that_is_nowhere(hub):
    assert line("nobody/nothing") == (
        f"no file or folder nobody/nothing is here, and {hub.address} shows no model of that name (status 401): mind "
        "the spelling; for a private model give token=…, or set HF_TOKEN in the environment")


def test_a_gated_model(hub, tmp_path):
    folder = timm_folder(tmp_path / "files")
    hub.push("someone/gated", folder)
    hub.gated["someone/gated"] = TOKEN
    accept = f"someone/gated is gated: accept its conditions at {hub.address}/someone/gated, and "
    assert line("someone/gated") == f"{accept}give token=…, or set HF_TOKEN in the environment (status 401)"
    assert line("someone/gated", token="hf_wrong") == f"{accept}the token has no access to it (status 403)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "hf_wrong")
        assert line("someone/gated") == f"{accept}the token has no access to it (status 403)"
    assert_same(minivit.load("someone/gated", token=TOKEN), minivit.load(folder))


def test_the_token_of_the_environment(hub, tmp_path, monkeypatch):
    folder = timm_folder(tmp_path / "files")
    hub.push("someone/private", folder)
    hub.gated["someone/private"] = TOKEN
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert_same(minivit.load("someone/private"), minivit.load(folder))


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused(hub, status):
    hub.status = status
    said = line("someone/refused", token=TOKEN)
    assert f"(status {status})" in said and "token=…" in said


def test_no_message_shows_the_token(hub):
    import huggingface_hub.errors
    error = OSError(f"\n\nno header may be {TOKEN}.\nAnd more")
    said = hub_messages.message(huggingface_hub, error, "a/b", None, TOKEN)
    assert said == "the download of a/b failed: no header may be …: load it again, what is whole is kept"


def test_a_token_that_is_none():
    for token in (3, "", "hf_secret\n", "two words"):
        assert line("someone/model", token=token) == ("token is no text of printable characters without spaces, which "
                                                      "a token of the hub is")


def test_a_hub_that_is_ill(hub):
    hub.status = 503
    assert line("someone/ill") == (f"{hub.address} answers with status 503, and someone/ill is not whole in the cache "
                                   f"{cache()}: try again with a connection")


def test_a_changed_revision(hub, tmp_path):
    old_folder, new_folder = timm_folder(tmp_path / "old"), timm_folder(tmp_path / "new", seed=1)
    old = hub.push("someone/changed", old_folder)
    assert_same(minivit.load("someone/changed"), minivit.load(old_folder))
    new = hub.push("someone/changed", new_folder)
    hub.fetched()
    model = minivit.load("someone/changed")
    assert_same(model, minivit.load(new_folder))
    assert model.origin.commit == new != old and hub.fetched() == ["model.safetensors"]     # the settings are the same
    pinned = minivit.load("someone/changed", revision=old)
    assert_same(pinned, minivit.load(old_folder))
    assert pinned.origin.commit == old and not hub.asked
    hub.push("someone/changed", old_folder, branch="v1")
    assert_same(minivit.load("someone/changed", revision="v1"), minivit.load(old_folder))


def test_a_branch_that_moves_while_its_files_are_fetched(hub, tmp_path, monkeypatch):
    old_folder, new_folder = timm_folder(tmp_path / "old"), timm_folder(tmp_path / "new", seed=1)
    hub.push("someone/moving", old_folder)
    original = by_name._fetched

    def then_move(library, name, token, revision, file):
        path = original(library, name, token, revision, file)
        hub.push("someone/moving", new_folder)
        return path
    monkeypatch.setattr(by_name, "_fetched", then_move)
    assert_same(minivit.load("someone/moving"), minivit.load(old_folder))


def test_a_revision_that_is_not_there(hub, tmp_path):
    hub.push("someone/revisions", timm_folder(tmp_path / "files"))
    assert line("someone/revisions", revision="v9") == (
        "someone/revisions has no revision 'v9': give a branch, a tag or a whole commit that its page at "
        f"{hub.address}/someone/revisions lists, or leave revision out")
    for revision in (3, "", " "):
        assert line("someone/revisions", revision=revision).startswith(f"revision is {revision!r}, expected a branch")


def test_a_revision_of_what_has_none(tmp_path, monkeypatch):
    for source, told in (("cifar10", "cifar10"), ({}, "dict"), (tmp_path, str(tmp_path))):
        assert line(source, revision="main") == ("revision is for a model by its name on the Hugging Face hub, and "
                                                 f"{told} is none, or is here on this disk: leave it out")


def test_what_is_on_the_disk_wins(hub, tmp_path, monkeypatch):
    (tmp_path / "someone").mkdir()
    here = timm_folder(tmp_path / "someone" / "both", seed=1)
    hub.push("someone/both", timm_folder(tmp_path / "files"))
    model = minivit.load("someone/both")
    assert_same(model, minivit.load(here))
    assert not hub.asked and model.origin.commit is None


@pytest.mark.parametrize("source", ["cifar100", "a/b/c", "/a/b", "./a", "../a", "a/", "~/a", "a/b.safetensors",
                                    "a/b.npz", "a/b.pth", "a b/c", "a/b?c", "a/..", Path("a/b")], ids=str)
def test_what_is_no_name(hub, source):
    assert line(source).startswith(f"no file {source}, and no packaged model of that name")
    assert not hub.asked


def test_a_name_that_the_hub_does_not_allow(hub):
    assert line("some--one/model").startswith("no file or folder some--one/model is here, and it is no name of the ")
    assert not hub.asked


def test_a_dead_server(hub, tmp_path):
    folder, fresh = transformers_folder(tmp_path / "files"), transformers_folder(tmp_path / "fresh")
    hub.push("someone/kept", folder)
    minivit.load("someone/kept")
    (fresh / "preprocessor_config.json").unlink()
    hub.push("someone/half", fresh)
    minivit.load("someone/half")
    hub.stop()
    try:
        assert_same(minivit.load("someone/kept"), minivit.load(folder))
        assert_same(minivit.load("someone/half"), minivit.load(fresh))      # that it has no such file is known
        # A file that another program did not fetch may be there: nothing is assumed of it.
        (kept,) = (cache() / "models--someone--kept" / "snapshots").glob("*/preprocessor_config.json")
        kept.unlink()
        for name in ("someone/kept", "someone/new"):
            said = line(name)
            assert said.startswith(f"{hub.address} gives no usable answer (")
            assert said.endswith(f"), and {name} is not whole in the cache {cache()}: try again with a connection")
    finally:
        hub.start()


def test_offline_on_the_command_line(hub, tmp_path):
    old = hub.push("someone/offline", timm_folder(tmp_path / "old"))
    minivit.load("someone/offline")
    hub.push("someone/offline", timm_folder(tmp_path / "new", seed=1))
    hub.fetched()
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(
        [str(ROOT), os.environ.get("PYTHONPATH", "")])}

    def run(*given):
        return subprocess.run([sys.executable, "-m", "minivit", "trace", "--model", *given], env=environment,
                              cwd=tmp_path, capture_output=True, encoding="utf-8")
    for given in (["someone/offline"], ["someone/offline", "--revision", old]):
        done = run(*given)
        assert done.returncode == 0 and "probabilities" in done.stdout, done.stderr
    done = run("someone/elsewhere")
    assert done.returncode == 2 and done.stderr == (
        f"minivit: someone/elsewhere is not whole in the cache {cache()}, and HF_HUB_OFFLINE is set: load it once with "
        "HF_HUB_OFFLINE=0\n")
    assert not hub.asked


def test_revision_on_the_command_line(hub, tmp_path, capsys):
    old = hub.push("someone/typed", timm_folder(tmp_path / "old"))
    hub.push("someone/typed", timm_folder(tmp_path / "new", seed=1))
    assert cli.main(["compare", "someone/typed", str(tmp_path / "old"), "--revision", old]) == 0
    capsys.readouterr()
    assert cli.main(["trace", "--model", "someone/typed", "--revision", "v9"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("minivit: someone/typed has no revision 'v9': ") and said.count("\n") == 1
    assert cli.main(["trace", "--model", "cifar10", "--revision", "v9"]) == 2
    assert capsys.readouterr().err.startswith("minivit: --revision is for a model by its name on the Hugging Face hub")
    assert cli.main(["explore", "-o", str(tmp_path / "page"), "--model", "someone/typed", "--revision", "v9"]) == 2
    assert "has no revision 'v9'" in capsys.readouterr().err


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert line("someone/model") == ("no file or folder someone/model is here, and reading it by name from the Hugging "
                                     "Face hub needs one more package: pip install 'minivit[hub]'")


def test_families_that_minivit_lacks_are_refused_by_name(hub, tmp_path):
    folder = transformers_folder(tmp_path / "files")
    config = json.loads((folder / "config.json").read_text("utf-8")) | {"model_type": "dinov3_vit"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    hub.push("facebook/dinov3-small", folder)
    assert line("facebook/dinov3-small").startswith("facebook/dinov3-small: its config.json has model_type "
                                                    "'dinov3_vit'")


def test_the_names_of_the_files_are_those_of_a_folder():
    assert (by_name.CONFIG, by_name.PREPROCESSOR) == folders.SETTINGS == ("config.json", "preprocessor_config.json")
    assert by_name.WEIGHTS == "model.safetensors"
