"""The explorer without a browser: its weights, its server, its command, and `minivit.explore`."""

import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from explorer_page import served_model

import minivit
from minivit.explorer import page_files, serving
from minivit.explorer.weights import WIRE, decode, encode, rows_to_int8
from minivit.samples import CAT, PHOTOS

ROOT = Path(minivit.__file__).parent
CONFIG = minivit.load().config
L, H = CONFIG.num_layers, CONFIG.num_heads


def test_the_packaged_weights_are_sent_as_they_are():
    """They are stored as float16, and fit the wire so: the page has the very numbers."""
    model = minivit.load()
    data = encode(model)
    assert len(data) <= WIRE == 6_000_000 and data == encode(model, "float16")
    sent = decode(data)
    assert all(np.array_equal(sent[name], weight) for name, weight in minivit.state_dict(model).items())


def test_a_larger_model_gets_the_smaller_encoding():
    """4.8 million parameters are 9.5 MB in float16."""
    model = minivit.init(minivit.ViTConfig(patch_size=4, width=256, num_layers=6, mlp_width=1024, num_heads=4,
                                           num_classes=10, image_size=32))
    assert len(encode(model, "float16")) > WIRE
    assert encode(model) == encode(model, "int8") and len(encode(model)) <= WIRE


def test_float32_is_exact_and_float16_is_rounded_once():
    model = minivit.load()
    exact, half = decode(encode(model, "float32")), decode(encode(model, "float16"))
    for name, weight in minivit.state_dict(model).items():
        assert np.array_equal(exact[name], weight) and np.array_equal(half[name], np.float32(np.float16(weight)))


def test_int8_rounds_each_row_to_its_largest():
    weight = np.array([[1.0, -2.0, 0.5], [0, 0, 0], [1e-4, 0, 1e-6]])
    q, scale = rows_to_int8(weight)
    assert q.dtype == np.int8 and q.tolist() == [[64, -127, 32], [0, 0, 0], [127, 0, 1]]
    np.testing.assert_allclose(scale, [2 / 127, 0, 1e-4 / 127], rtol=1e-6)


def test_int8_is_within_half_a_step_of_every_weight():
    model = minivit.load()
    small = decode(encode(model, "int8"))
    for name, weight in minivit.state_dict(model).items():
        if name.endswith("weight") and weight.ndim > 1:
            step = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / 127
            error = np.abs(small[name] - weight).reshape(len(weight), -1).max(axis=1)
            assert (error <= 0.5001 * step + 1e-9).all(), name


@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_the_small_weights_answer_as_the_packaged_ones(encoding, tmp_path):
    """On the hundred test pictures: the same answers but for near ties."""
    model = minivit.load()
    small = served_model(encode(model, encoding), model, tmp_path)
    images, _ = minivit.samples.cifar10_test()
    ours, theirs = (minivit.forward(images, m).probabilities for m in (model, small))
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.97 and np.abs(ours - theirs).max() < 0.1


def test_unknown_encoding():
    with pytest.raises(ValueError, match="one of float32, float16, int8, found 'bfloat16'"):
        encode(minivit.load(), "bfloat16")


def test_the_port_has_the_packages_names():
    """One function a section, each beside its backward, and about as long as a lesson's file may be."""
    text = (page_files.PAGE / "vit.js").read_text()
    sections = ["patch_embedding", "cls_token", "layer_norm", "softmax", "attention", "gelu", "mlp", "layer", "head"]
    for name in sections:
        assert (ROOT / f"{name}.py").is_file()
        assert re.search(rf"export (function|const) {name}\b", text) and f"{name}_backward" in text
    assert re.search(r"export function position_embedding\b", text)         # its backward is the identity


def test_the_page_names_modules_that_exist():
    for path in page_files.PAGE.glob("view_*.js"):
        for name in re.findall(r'"((?:[\w/]+\.py(?:, )?)+)"', path.read_text()):
            for module in name.split(", "):
                assert (ROOT / module).is_file(), f"{path.name}: {module}"


def test_every_term_of_the_page_is_explained_and_every_explanation_used():
    glossary = set(re.findall(r'^  "([^"]+)": "', (page_files.PAGE / "glossary.js").read_text(), re.MULTILINE))
    texts = "".join(path.read_text() for path in page_files.PAGE.glob("*.js") if path.name != "glossary.js")
    term = r"(?<!\$)\{(?:[A-Za-z][\w -]*\|)?(\[CLS\]|[A-Za-z][A-Za-z -]*)\}"                    # {term} or {words|term}
    assert len(glossary) > 15 and set(re.findall(term, texts)) == glossary


def test_the_page_asks_no_other_host():
    for path in page_files.PAGE.iterdir():
        for url in re.findall(r"https?://[^\s\"')]+", path.read_text()):
            assert url.startswith("http://www.w3.org/"), f"{path.name}: {url}"


@pytest.fixture
def server():
    with serving.start({"index.html": b"<!doctype html>", "a.js": b"1"}) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield serving.address(server)
        server.shutdown()


def got(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def test_server(server):
    assert server.startswith("http://127.0.0.1:")
    assert got(server) == (200, "text/html; charset=utf-8", b"<!doctype html>")
    assert got(server + "a.js?x=1")[:2] == (200, "text/javascript; charset=utf-8")
    for path in ("b.js", "../pyproject.toml", "%2e%2e/pyproject.toml", "/etc/passwd", "pictures/"):
        assert got(server + path)[0] == 404
    assert got(server, Host="evil.example:80")[0] == 403


def test_a_port_that_is_taken(server):
    port = int(server.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 cannot be had: .*; leave --port out"):
        serving.start({}, port)


def test_explore_hands_over_the_pixels_and_the_exact_weights(capsys):
    p = minivit.forward(CAT)
    url = minivit.explore(p, browser=False)
    assert url.endswith("#picture=prediction") and url in capsys.readouterr().out
    place = url.partition("#")[0]
    pixels = np.frombuffer(got(place + "prediction.f32")[2], "<f4").reshape(p.x.shape)
    assert np.array_equal(pixels, p.x)
    weights = decode(got(place + "model.safetensors")[2])
    assert all(np.array_equal(weights[name], a) for name, a in minivit.state_dict(p.model).items())


def test_explore_takes_one_picture_and_a_model_with_classes():
    with pytest.raises(ValueError, match="found a batch of 2: explore\\(p\\[0\\]\\)"):
        minivit.explore(minivit.forward([CAT, CAT]))
    with pytest.raises(ValueError, match="found str"):
        minivit.explore("cat.jpg")
    bare = minivit.init(minivit.ViTConfig(patch_size=4, width=8, num_layers=1, mlp_width=8, num_heads=1,
                                          num_classes=0, image_size=8))
    with pytest.raises(ValueError, match="needs a model with a head"):
        minivit.explore(minivit.forward(CAT, bare))


@pytest.mark.parametrize("settings", [{"resize": "stretch_crop"}, {"resize": "none"}, {"interpolation": "box"},
                                      {"crop_offset": "floor"}])
def test_a_preprocessing_that_the_page_lacks_is_refused(tmp_path, settings):
    """The page would prepare pictures in another way, and say nothing."""
    model = minivit.load(preprocessing=minivit.Preprocessing(**settings))
    said = f"prepares pictures by resize crop or stretch.*, found .*{'|'.join(settings.values())}.*: load the model"
    with pytest.raises(ValueError, match=said):
        minivit.explore(minivit.forward(minivit.samples.cifar10_test()[0][0], model))
    with pytest.raises(ValueError, match=said):
        page_files.write_page(tmp_path / "site", model)
    assert not (tmp_path / "site").exists()
    other = minivit.Preprocessing(resize="stretch", crop_offset="floor", interpolation="lanczos")       # it has no crop
    page_files.write_page(tmp_path / "site", minivit.load(preprocessing=other))


def test_written_to_a_folder(tmp_path, capsys):
    from minivit.commands import cli
    assert cli.main(["explore", "-o", str(tmp_path / "site")]) == 0
    written = {str(p.relative_to(tmp_path / "site")): p.read_bytes() for p in (tmp_path / "site").rglob("*")
               if p.is_file()}
    assert written == page_files.page_files(minivit.load())
    photos = {f"pictures/photos/{path.relative_to(PHOTOS).as_posix()}" for path in PHOTOS.rglob("*.jpg")}
    assert {"index.html", "vit.js", "model.safetensors", "pictures/cat.jpg", *photos} <= set(written)
    assert len(photos) == 9


def test_where_a_written_page_opens(tmp_path, capsys):
    from minivit.commands import cli
    site = tmp_path / "site"
    assert cli.main(["explore", "-o", str(site), "--layer", "99"]) == 2 and not site.exists()
    assert "--layer is a number from 0 to 8, found 99" in capsys.readouterr().err
    assert cli.main(["explore", "-o", str(site), "--layer", "3", "--head", "mean"]) == 0
    assert capsys.readouterr().out == f"{site}/#layer=3&head=mean\n" and (site / "index.html").exists()


def test_a_port_beyond_the_last(capsys):
    from minivit.commands import cli
    assert cli.main(["explore", "--port", "70000"]) == 2
    assert capsys.readouterr().err == "minivit: a port is a number from 0 to 65535, found 70000\n"


@pytest.fixture
def served(monkeypatch):
    """The place that `minivit explore …` serves, without serving it."""
    from minivit.commands import cli

    def place(*options):
        places = []
        monkeypatch.setattr(serving, "serve", lambda model, port, browser, place: places.append(place))
        assert cli.main(["explore", *options]) == 0
        return places[0]
    return place


def test_the_command_says_where_the_page_opens(served):
    assert served() == ""
    assert served("--section", "6", "--layer", "3", "--head", "1", "--patch", "27") == \
        "#section=6&layer=3&head=1&patch=27"
    assert served("--head", "mean", "--patch", "cls", "--class", "cat", "--part", "backward") == \
        "#head=mean&patch=cls&class=cat&part=backward"


@pytest.mark.parametrize("option, value, expected", [
    ("section", "18", "a number from 0 to 17, found 18"),
    ("layer", str(L), f"a number from 0 to {L - 1}, found {L}"),
    ("head", str(H), f"a number from 0 to {H - 1} or mean, found {H}"),
    ("patch", "-1", "a number from 0 to 63 or cls, found -1"),
    ("patch", "mean", "a number from 0 to 63 or cls, found mean"),
    ("class", "unicorn", "one of airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck, found unicorn"),
    ("part", "cellar", "found cellar")])
def test_a_place_that_the_page_does_not_have(option, value, expected, capsys, monkeypatch):
    from minivit.commands import cli
    monkeypatch.setattr(serving, "serve", lambda *_: None)                      # what is taken is not served for good
    assert cli.main(["explore", f"--{option}={value}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"minivit: --{option} is ") and error.endswith(f"{expected}\n") and error.count("\n") == 1


def test_the_commands_places_are_the_pages():
    """The number of sections stands in the page's tour, the names of the parts in its cards."""
    from minivit.commands.explore import PARTS, SECTIONS
    tour, state = ((page_files.PAGE / name).read_text() for name in ("tour.js", "state.js"))
    steps = re.search(r"export const STEPS = \[\n(.*?)\n\];", tour, re.DOTALL)[1]
    assert len(re.findall(r"^  \[", steps, re.MULTILINE)) == SECTIONS and f'whole("section", {SECTIONS})' in state
    cards = {name for path in page_files.PAGE.glob("view_*.js")
             for name in re.findall(r'card\("(\w+)"', path.read_text())}
    assert cards == set(PARTS)
