"""The public names: what `dir` lists, what the stub says to editors, and that each is annotated."""

import ast
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import minivit

FOLDER = Path(minivit.__file__).parent
SECTIONS = {"patch_embedding", "cls_token", "position_embedding", "layer", "layer_norm", "attention", "softmax", "mlp",
            "gelu", "linear", "head", "loss", "vit", "layer_scale", "swiglu", "distillation", "attention_pooling",
            "normed_head"}
CLASSES = [minivit.VisionTransformer, minivit.Prediction, minivit.Gradients, minivit.ViTConfig, minivit.Preprocessing]
FUNCTIONS = [getattr(minivit, name) for name in minivit.__all__ if inspect.isfunction(getattr(minivit, name))]
METHODS = [method for kind in CLASSES for name, method in vars(kind).items()
           if inspect.isfunction(method) and not name.startswith("_")]


def test_the_stub_names_what_the_table_does_from_the_same_places():
    stub = ast.parse((FOLDER / "__init__.pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    found = {alias.name: node.module for node in imports for alias in node.names}
    assert {name: home for name, home in found.items() if home} == minivit._HOME
    assert {name for name, home in found.items() if not home} == SECTIONS | {"samples"}
    for node in imports:                                                # "as" is what makes a stub's name public
        assert node.level == 1 and all(alias.asname == alias.name for alias in node.names)


def test_dir_is_complete_before_anything_was_used():
    listed = "import minivit; print(*dir(minivit))"
    names = subprocess.run([sys.executable, "-c", listed], capture_output=True, encoding="utf-8").stdout.split()
    assert {*minivit.__all__, *SECTIONS, "samples", "tracing", "training", "__version__"} <= set(names)
    assert not {"importlib", "pkgutil"} & set(names)
    for name in names:
        getattr(minivit, name)


@pytest.mark.parametrize("function", [*FUNCTIONS, *METHODS], ids=lambda f: f.__qualname__)
def test_every_public_function_is_annotated(function):
    hints = typing.get_type_hints(function, vars(sys.modules["minivit.prediction"]) | {"Figure": object})
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    assert set(hints) == {*parameters, "return"}


def test_the_package_is_marked_as_typed():
    assert (FOLDER / "py.typed").exists()
