"""What each library's weights mean beside their values: preprocessing, labels, eps and resampled positions, as numbers.

Expected pixels are Pillow's, resized and cut here; expected positions SciPy's, Pillow's, or a sum over 16 points.
"""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from checkpoint_files import CONFIG, FORMATS, native_metadata, small_model, write
from peaked import images, relative_error
from PIL import Image
from scipy import ndimage
from toy_data import SHORT, TINY, colours

import minivit
from minivit.checkpoints import torchvision
from minivit.config import CHOICES, SWITCHES
from minivit.images.preparation import prepare
from minivit.training.loop import train
from minivit.variants import as_config

HALF, IMAGENET = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}                       # Pillow's own numbers
PHOTO = Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 60, 3), np.uint8)).resize((57, 43), 2)


def pixels(size, covered, interpolation, mean_std, picture=PHOTO):
    """The photo at `size`: stretched where `covered` is None, else its short side scaled to that and the centre cut."""
    height, width = size
    if covered is None:
        picture = picture.resize((width, height), FILTERS[interpolation])
    else:
        w, h = picture.size
        new = (covered, int(covered * h / w)) if w <= h else (int(covered * w / h), covered)
        left, top = round((new[0] - width) / 2), round((new[1] - height) / 2)
        picture = picture.resize(new, FILTERS[interpolation]).crop((left, top, left + width, top + height))
    return (np.asarray(picture) / 255 - mean_std[0]) / mean_std[1]


def written(format_name, folder, settings=None, preprocessor=None, **changes):
    """A small file of this format, with the JSON files of its library beside it."""
    model = small_model(**changes)
    path = write(format_name, FORMATS[format_name](model), folder,
                 native_metadata(model) if format_name == "native" else None)
    for name, content in (("config.json", settings), ("preprocessor_config.json", preprocessor)):
        if content is not None:
            (folder / name).write_text(json.dumps(content))
    return path


def loaded(format_name, folder, settings=None, preprocessor=None, **changes):
    return minivit.load(written(format_name, folder, settings, preprocessor, **changes),
                        num_heads=None if format_name == "native" else 2)


@pytest.mark.parametrize("format_name, side, covered, interpolation, mean_std", [
    ("google", 12, None, "bilinear", HALF),                    # google-research/vision_transformer: resize to the size
    ("timm", 12, 13, "bicubic", HALF),                         # augreg at 224: crop_pct 0.9
    ("timm", 260, 260, "bicubic", HALF),                       # augreg at 384: crop_pct 1.0
    ("hugging_face", 12, None, "bilinear", HALF),              # ViTImageProcessor's defaults
    ("torchvision", 224, 256, "bilinear", IMAGENET),           # IMAGENET1K_V1
    ("torchvision", 384, 384, "bicubic", IMAGENET),            # IMAGENET1K_SWAG
])
def test_pixels_where_the_file_says_nothing(tmp_path, format_name, side, covered, interpolation, mean_std):
    model = loaded(format_name, tmp_path, image_size=side, patch_size=4 if side < 20 else side // 4)
    expected = pixels((side, side), covered, interpolation, mean_std)
    np.testing.assert_allclose(model.prepare(PHOTO)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant, covered", [("L/16", 242), ("L/32", 256), ("B/16", 256), ("B/32", 256)])
def test_torchvisions_large_model_covers_242_pixels(variant, covered):
    recipe = torchvision.preprocessing(SimpleNamespace(assumed=[]), minivit.VARIANTS[variant])
    expected = pixels((224, 224), covered, "bilinear", IMAGENET)
    np.testing.assert_allclose(prepare(PHOTO, (224, 224), recipe)[0], expected, rtol=0, atol=1e-5)


ODD = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize("about, covered", [
    ({"crop_pct": 0.8, "interpolation": "bilinear"}, 15), ({"crop_pct": 1.0, "interpolation": "lanczos"}, 12),
    ({"crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic"}, 13),
    ({"crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic"}, None),
])
def test_timms_pretrained_cfg_decides(tmp_path, about, covered):
    settings = {"architecture": "vit", "pretrained_cfg": {**about, "mean": ODD[0], "std": ODD[1]}}
    expected = pixels((12, 12), covered, about["interpolation"], ODD)
    np.testing.assert_allclose(loaded("timm", tmp_path, settings).prepare(PHOTO)[0], expected, atol=1e-5)


@pytest.mark.parametrize("place", ["config", "pretrained_cfg"])
def test_timms_label_names(tmp_path, place):
    settings = {"pretrained_cfg": {}}
    (settings if place == "config" else settings["pretrained_cfg"])["label_names"] = ["cat", "ant", "bee"]
    assert loaded("timm", tmp_path, settings).labels == ["cat", "ant", "bee"]


HUGGING_FACE = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 12, "image_size": 12, "patch_size": 4, "hidden_act": "gelu",
                "layer_norm_eps": 0.01}


@pytest.mark.parametrize("resample, interpolation", [(0, "nearest"), (1, "lanczos"), (2, "bilinear"), (3, "bicubic")])
@pytest.mark.parametrize("covered", [None, 14, 16])
def test_hugging_faces_preprocessor_decides(tmp_path, resample, interpolation, covered):
    square = {"height": 12, "width": 12}
    about = {"image_processor_type": "ViTImageProcessor", "image_mean": ODD[0], "image_std": ODD[1],
             "resample": resample, "size": {"shortest_edge": covered} if covered else square}
    model = loaded("hugging_face", tmp_path, HUGGING_FACE,
                   about | ({"do_center_crop": True, "crop_size": square} if covered else {}))
    np.testing.assert_allclose(model.prepare(PHOTO)[0], pixels((12, 12), covered, interpolation, ODD), atol=1e-5)


def test_hugging_faces_labels_are_in_the_order_of_their_numbers(tmp_path):
    names = {"2": "cat", "0": "ant", "1": "bee"}
    assert loaded("hugging_face", tmp_path, {**HUGGING_FACE, "id2label": names}).labels == ["ant", "bee", "cat"]
    many = {str(k): f"class {k}" for k in sorted(range(12), key=str)}                     # "10" stands before "2"
    (tmp_path / "many").mkdir()
    assert loaded("hugging_face", tmp_path / "many", {**HUGGING_FACE, "id2label": many}, num_classes=12).labels == \
        [f"class {k}" for k in range(12)]
    (tmp_path / "none").mkdir()
    nameless = {str(k): f"LABEL_{k}" for k in range(3)}
    assert loaded("hugging_face", tmp_path / "none", {**HUGGING_FACE, "id2label": nameless}).labels is None


@pytest.mark.parametrize("eps", [0.01, None])
def test_hugging_faces_eps(tmp_path, eps):
    """Its default is 1e-12, which small activations tell from 1e-6."""
    settings = {**HUGGING_FACE, "layer_norm_eps": eps} if eps else \
        {k: v for k, v in HUGGING_FACE.items() if k != "layer_norm_eps"}
    model = loaded("hugging_face", tmp_path, settings)
    assert model.config.layer_norm_eps == (eps or 1e-12)
    reference = small_model(layer_norm_eps=eps or 1e-12)
    assert relative_error(model.astype("float64")(images(CONFIG)), reference(images(CONFIG))) <= 1e-12


def test_a_hugging_face_image_that_is_not_square(tmp_path):
    model = loaded("hugging_face", tmp_path, {**HUGGING_FACE, "image_size": [8, 20]},
                   {"size": {"height": 8, "width": 20}}, image_size=(8, 20))
    assert model.config.height_width == (8, 20) and model.config.grid == (2, 5)
    np.testing.assert_allclose(model.prepare(PHOTO)[0], pixels((8, 20), None, "bilinear", HALF), atol=1e-5)


@pytest.mark.parametrize("activation, form", [("gelu", "erf"), ("gelu_python", "erf"), ("gelu_new", "tanh"),
                                              ("gelu_pytorch_tanh", "tanh")])
def test_hugging_faces_activations(tmp_path, activation, form):
    assert loaded("hugging_face", tmp_path, {**HUGGING_FACE, "hidden_act": activation}).config.gelu == form


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_huge_file_of_settings_is_refused_unread(tmp_path, name):
    path = written("hugging_face", tmp_path, HUGGING_FACE)
    (tmp_path / name).write_text(json.dumps(HUGGING_FACE | {"more": " " * (17 << 20)}))
    with pytest.raises(minivit.CheckpointError, match=rf"{name}.* more than 16,777,216 bytes"):
        minivit.load(path)


def test_labels_of_another_number_are_refused_with_the_files_name(tmp_path):
    with pytest.raises(minivit.CheckpointError, match=r"weights\.safetensors.*2 labels do not name 3 classes"):
        loaded("timm", tmp_path, {"pretrained_cfg": {}, "label_names": ["cat", "ant"]})


# Positions for another size, by what each library itself does.

def keys_cubic(t, a=-0.75):
    """Keys's kernel (1981), with PyTorch's a."""
    t = abs(t)
    return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1 if t <= 1 else \
        a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a if t < 2 else 0.0


def bicubic(image, rows, columns, corners):
    """PyTorch's interpolate(mode="bicubic"): 16 points around each place, the border repeated."""
    H, W, D = image.shape
    new = np.zeros((rows, columns, D))
    for r in range(rows):
        for c in range(columns):
            y = r * (H - 1) / (rows - 1) if corners else (r + 0.5) * H / rows - 0.5
            x = c * (W - 1) / (columns - 1) if corners else (c + 0.5) * W / columns - 0.5
            for i in range(int(np.floor(y)) - 1, int(np.floor(y)) + 3):
                for j in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
                    new[r, c] += keys_cubic(y - i) * keys_cubic(x - j) * image[np.clip(i, 0, H - 1),
                                                                               np.clip(j, 0, W - 1)]
    return new


def antialiased(image, rows, columns):
    """Pillow's bicubic in floats, which PyTorch's antialias=True follows."""
    return np.stack([np.asarray(Image.fromarray(plane.astype(np.float32)).resize((columns, rows), 3))
                     for plane in image.transpose(2, 0, 1)], axis=-1)


RESAMPLED = {
    "google": lambda image, rows, columns: ndimage.zoom(image, (rows / 4, columns / 4, 1), order=1),
    "timm": antialiased,
    "hugging_face": lambda image, rows, columns: bicubic(image, rows, columns, corners=False),
    "torchvision": lambda image, rows, columns: bicubic(image, rows, columns, corners=True),
}


@pytest.mark.parametrize("grid", [(6, 9), (3, 2), (4, 7)])
@pytest.mark.parametrize("format_name", RESAMPLED)
def test_positions_for_another_size(tmp_path, format_name, grid):
    """The format's own way unless another is asked for."""
    table = small_model(image_size=16).params["pos_embed"]
    path = written(format_name, tmp_path, image_size=16)
    size = tuple(4 * n for n in grid)
    for way in (None, "torchvision", "google"):
        found = minivit.load(path, num_heads=2, image_size=size, resample=way, dtype="float64").params["pos_embed"]
        expected = RESAMPLED[way or format_name](table[0, 1:].reshape(4, 4, -1), *grid).reshape(1, -1, 8)
        assert relative_error(found[:, 1:], expected) <= 2e-6
        np.testing.assert_array_equal(found[:, 0], table[:, 0])


# minivit's own files.

def test_save_keeps_what_is_not_the_default(tmp_path):
    config = as_config(CONFIG, layer_norm_eps=0.02, gelu="tanh", image_size=(8, 20), pool="mean", class_token=False,
                       position="sincos2d")
    odd = minivit.Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), resize="stretch", crop_fraction=0.7,
                                interpolation="nearest")
    model = minivit.init(config, seed=1, labels=["x", "y", "z"], preprocessing=odd)
    minivit.save(model, tmp_path / "model.safetensors")
    again = minivit.load(tmp_path / "model.safetensors")
    assert again.config == config and again.labels == ["x", "y", "z"] and again.preprocessing == odd
    expected = pixels((8, 20), None, "nearest", (odd.mean, odd.std))
    np.testing.assert_allclose(again.prepare(PHOTO)[0], expected, atol=1e-5)
    x = images(config, dtype="float32")
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.parametrize("relative", [{}, {"norm_pre": True}, {"gated_mlp": True},
                                      {"dist_token": True, "registers": 2}])
@pytest.mark.parametrize("name, value", [(switch, not getattr(CONFIG, switch)) for switch in SWITCHES]
                         + [(name, value) for name, values in CHOICES.items() for value in values]
                         + [("registers", 3), ("num_classes", 0), ("image_size", (8, 20))])
def test_every_part_of_a_config_is_read_again(name, value, relative, tmp_path, capsys):
    """Nothing of a file of our own is assumed: its metadata tells it all."""
    fitting = {"class_token": {"pool": "normed_mean", "dist_token": False}}.get(name, {})
    if value == "distilled":
        fitting = {"dist_token": True}
    model = minivit.init(as_config(CONFIG, **relative | {name: value} | fitting), seed=1)
    minivit.save(model, tmp_path / "model.safetensors")
    again = minivit.load(tmp_path / "model.safetensors")
    assert again.config == model.config and again.origin.assumed == () and capsys.readouterr().err == ""
    for tensor, array in minivit.state_dict(model).items():
        np.testing.assert_array_equal(minivit.state_dict(again)[tensor], array)


def test_what_training_writes_of_patches_without_a_bias_is_read(tmp_path):
    model = train(colours(), replace(TINY, patch_bias=False), replace(SHORT, epochs=1), tmp_path, progress=False)
    for name in ("model.safetensors", "best.safetensors"):
        again = minivit.load(tmp_path / name)
        assert again.config == model.config and not again.config.patch_bias
        for tensor, array in minivit.state_dict(model).items():
            np.testing.assert_array_equal(minivit.state_dict(again)[tensor], array)


@pytest.mark.parametrize("dtype, largest", [("float16", 1e-3), ("float32", 0.0), ("float64", 0.0), (None, 0.0)])
def test_save_in_another_precision(tmp_path, dtype, largest):
    model = small_model().astype("float32")
    minivit.save(model, tmp_path / "model.safetensors", dtype)
    again = minivit.load(tmp_path / "model.safetensors")
    assert again.dtype == np.float32
    for name, array in minivit.state_dict(again).items():
        assert relative_error(array, minivit.state_dict(model)[name]) <= largest
    from safetensors.numpy import load_file
    assert {a.dtype for a in load_file(tmp_path / "model.safetensors").values()} == {np.dtype(dtype or "float32")}
