"""Every number of every configuration, replaced by what JSON allows in its place: refused in one line, or harmless."""

import json
import subprocess
import sys

import pytest
from checkpoint_files import CONFIG, FORMATS, native_metadata, small_model, write

import minivit

MEGABYTES = 500
ODD = [True, False, "7", "", None, [], {}, [1, 2, 3, 4], 0, -1, 0.5, 3.7, 1e-300, 1e-9, 1e9, 1e300, -1e300, 10 ** 6,
       10 ** 12, 10 ** 400, float("nan"), float("inf")]

# Loads each folder or file named on stdin and looks at an image with it; a line for each, then the peak of memory.
LOOK = """
import contextlib, io, pathlib, resource, sys, time
import numpy as np
import minivit
from minivit import samples
for path in sys.stdin.read().splitlines():
    began = time.process_time()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            model = minivit.load(path, num_heads=None if "folder" in path else 2)
            answer = minivit.forward(samples.CAT, model)
        ending = "finite" if np.isfinite(answer.logits).all() else "NOT FINITE"
    except (minivit.CheckpointError, minivit.ImageError) as error:
        ending = f"refused: {error}"
    print(f"{time.process_time() - began:.2f} {ending}")
status = pathlib.Path("/proc/self/status")
peak = int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024 if status.exists() else \\
    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(peak)
"""

HUGGING_FACE = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 12, "patch_size": 4,
                "num_attention_heads": 2, "image_size": 12, "layer_norm_eps": 1e-12}
PROCESSOR = {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 14},
             "do_center_crop": True, "crop_size": {"height": 12, "width": 12}, "resample": 3, "rescale_factor": 1 / 255,
             "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
TIMM = {"architecture": "vit", "model_args": {"num_heads": 2, "img_size": 12},
        "pretrained_cfg": {"input_size": [3, 12, 12], "crop_pct": 0.9, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}


def numbers(value, path=()):
    """The places of all numbers in a JSON value."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(inner, (*path, key))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path


def changed(value, path, odd):
    """A copy of a JSON value with another value at one place."""
    if not path:
        return odd
    inner = changed(value[path[0]], path[1:], odd)
    return {**value, path[0]: inner} if isinstance(value, dict) else [*value[:path[0]], inner, *value[path[0] + 1:]]


def folders(tmp_path, format_name, files):
    """A folder for each number of each of the JSON files and each odd value."""
    weights = write("timm", FORMATS[format_name](small_model()), tmp_path)
    for name, content in files.items():
        for place in numbers(content):
            for i, odd in enumerate(ODD):
                folder = tmp_path / f"folder-{name}-{'-'.join(map(str, place))}-{i}"
                folder.mkdir()
                (folder / "model.safetensors").symlink_to(weights)
                for other in files:
                    text = changed(content, place, odd) if other == name else files[other]
                    (folder / other).write_text(json.dumps(text))
                yield folder


def natives(tmp_path):
    """A file for each number of the metadata and each odd value."""
    about = json.loads(native_metadata(small_model())["minivit"])
    for place in numbers(about):
        for i, odd in enumerate(ODD):
            where = tmp_path / f"file-{'-'.join(map(str, place))}-{i}"
            where.mkdir()
            yield write("native", FORMATS["native"](small_model()), where,
                        {"minivit": json.dumps(changed(about, place, odd))})


SOURCES = {"minivit": natives,
           "hugging_face": lambda path: folders(path, "hugging_face",
                                                {"config.json": HUGGING_FACE, "preprocessor_config.json": PROCESSOR}),
           "timm": lambda path: folders(path, "timm", {"config.json": TIMM})}


@pytest.mark.parametrize("source", SOURCES)
def test_odd_numbers(tmp_path, source):
    paths = [str(path) for path in SOURCES[source](tmp_path)]
    done = subprocess.run([sys.executable, "-c", LOOK], input="\n".join(paths), capture_output=True, text=True,
                          timeout=600)
    assert done.returncode == 0, done.stderr
    *lines, peak = done.stdout.splitlines()
    assert len(lines) == len(paths)                                 # each message is one line
    for path, line in zip(paths, lines):
        seconds, _, ending = line.partition(" ")
        assert float(seconds) < 5 and len(ending) < 700, f"{path}: {line}"
        assert ending == "finite" or ending.startswith("refused: "), f"{path}: {line}"
    refused = sum("refused: " in line for line in lines)
    assert refused > len(lines) / 2 and float(peak) < MEGABYTES


@pytest.mark.parametrize("name, value", [
    ("layer_norm_eps", True), ("layer_norm_eps", 1e308), ("layer_norm_eps", 1e-300), ("layer_norm_eps", "1e-6"),
    ("num_heads", True), ("width", 10 ** 9), ("num_layers", 10 ** 6), ("mlp_width", 10 ** 9), ("num_classes", 10 ** 9),
    ("num_classes", False), ("image_size", 14_400), ("image_size", (16, 14_400)), ("image_size", True),
    ("patch_size", 10 ** 9), ("class_token", 1), ("class_token", "yes"), ("layer_norm_eps", None)])
def test_configs(name, value):
    with pytest.raises(ValueError, match=name) as caught:
        minivit.ViTConfig(**{name: value})
    assert "\n" not in str(caught.value)


def test_more_patches_than_any_model_has():
    minivit.ViTConfig(patch_size=16, image_size=4096)
    with pytest.raises(ValueError, match="makes more than 65,536 patches"):
        minivit.ViTConfig(patch_size=8, image_size=4096)


@pytest.mark.parametrize("name", ["mean", "std"])
@pytest.mark.parametrize("value", [True, "0.5", None, 1e-300, 1e300, 10 ** 400, float("nan"), [0.5]])
def test_preprocessing(name, value):
    if (name, value) == ("mean", 1e-300):
        return                                                      # as good as 0
    with pytest.raises(ValueError, match=f"{name} of B is a number from"):
        minivit.Preprocessing(**{name: (0.5, 0.5, value)})


@pytest.mark.parametrize("value", [True, "0.9", None, 1e-9, 0, 1.5, 1e300, float("nan"), [0.9]])
def test_crop_fractions(value):
    with pytest.raises(ValueError, match="crop_fraction is a number from"):
        minivit.Preprocessing(crop_fraction=value)


def test_the_small_model_is_read_where_nothing_is_odd(tmp_path):
    """Else the tests above would see nothing but refusals."""
    for format_name, files in (("hugging_face", {"config.json": HUGGING_FACE, "preprocessor_config.json": PROCESSOR}),
                               ("timm", {"config.json": TIMM})):
        folder = tmp_path / format_name
        folder.mkdir()
        write("timm", FORMATS[format_name](small_model()), folder).rename(folder / "model.safetensors")
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content))
        assert minivit.load(folder).config.num_heads == CONFIG.num_heads
