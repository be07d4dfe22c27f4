"""Every NumPy call in the source that may run on a GPU exists in CuPy, with its keywords.

Checked against the table of CuPy's signatures stored beside the tests; test_with_cupy.py asks CuPy itself.
"""

import ast
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import minivit
from minivit.training.dropped import Draw
from minivit.training.muon import Muon
from minivit.training.optimiser import AdamW, clip
from tests import cupy_signatures
from tests.strict_array import fake_cupy, on_device, watched

PACKAGE = Path(minivit.__file__).parent

# It moves arrays between host and device.
HOST_ONLY = {"devices.py"}
IN_A_STEP = [PACKAGE / "training" / f"{name}.py" for name in ("optimiser", "muon", "dropped", "patch_dropout",
                                                              "stochastic_depth")]
SOURCES = sorted(path for path in [*PACKAGE.glob("*.py"), *PACKAGE.glob("engine/*.py"), *IN_A_STEP]
                 if path.name not in HOST_ONLY)

# What a module computes on the host before, or after, the device has its part.
ON_THE_HOST = {("prediction.py", "argsort"), ("prediction.py", "atleast_2d")}

# Names of numpy that compute nothing: types, constants, and NumPy's own settings, which no GPU asks.
NO_CALLS = {"errstate", "float32", "float64", "float16", "dtype", "ndarray", "generic", "integer", "pi"}


def numpy_calls(source):
    """[(line, name, positional, keywords)] of all calls np.name(…) in a module's source."""
    calls = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if re.fullmatch(r"np(\.\w+)+", name) and name[3:] not in NO_CALLS:
                keywords = [k.arg for k in node.keywords if k.arg != "like"]
                if len(keywords) < len(node.keywords):
                    keywords += passed_on_with_like(name[3:])
                calls.append((node.lineno, name[3:], len(node.args), keywords))
    return calls


def passed_on_with_like(name):
    """`like=` itself does not arrive at CuPy's function; but np.eye, np.ones and np.full hand on a `device` too."""
    function = getattr(np, name)
    return ["device"] if inspect.isfunction(function) and "device" in inspect.signature(function).parameters else []


def misfits(source, signatures=None, file=""):
    """What CuPy does not have, as lines to read."""
    found = []
    for line, name, positional, keywords in numpy_calls(source):
        if (file, name) in ON_THE_HOST:
            continue
        try:
            cupy_signatures.check(name, positional, keywords, signatures)
        except TypeError as error:
            found.append(f"{file}:{line}: {error}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_call_fits_the_stored_table(path):
    assert misfits(path.read_text("utf-8"), file=path.name) == [], \
        "use what NumPy and CuPy share; a module that only sees host arrays belongs in HOST_ONLY above"


def test_the_sources_hold_calls():
    names = {name for path in SOURCES for _, name, _, _ in numpy_calls(path.read_text("utf-8"))}
    assert {"empty_like", "matmul", "exp", "sqrt", "concatenate", "broadcast_to", "arange", "zeros_like"} <= names


@pytest.mark.parametrize("call, reason", [
    ("np.vecdot(a, b)", "no vecdot"), ("np.unstack(x)", "no unstack"),
    ("np.sum(x, where=m)", "where"), ("np.max(x, initial=0)", "initial"), ("np.clip(x, min=0)", "min"),
    ("np.exp(x, where=m)", "where"), ("np.linalg.vector_norm(x)", r"no linalg\.vector_norm"),
    ("np.eye(3, like=x)", "device"), ("np.ones(3, like=x)", "device"),
])
def test_a_planted_call_is_caught(call, reason):
    (found,) = misfits(f"def forward(x):\n    return {call}\n", file="planted.py")
    assert found.startswith("planted.py:2: ") and reason.replace("\\", "") in found


def run_everything():
    """Forward, trace, backward and a step of each optimiser, on stand-ins. Returns the calls made, by name."""
    with pytest.MonkeyPatch.context() as patch, watched() as watch:
        patch.setitem(sys.modules, "cupy", fake_cupy())
        for changes in ({}, {"pool": "mean", "gelu": "tanh"}, {"position": "sincos2d"}):
            for dtype in ("float32", "float64"):
                model = minivit.init(minivit.ViTConfig(patch_size=4, width=8, num_layers=2, mlp_width=8, num_heads=2,
                                                       image_size=8, num_classes=3, **changes), dtype=dtype).to("cuda")
                x = on_device(np.ones((2, 8, 8, 3), dtype))
                model(x)
                minivit.tracing.trace(model, x)
                _, grads = model.loss_and_gradients(x, [0, 2])
                grads, _ = clip(grads, 1.0)
                AdamW.for_params(model.params).step(model.params, grads, 1e-3, 0.1)
                targets = on_device(np.eye(3, dtype=dtype)[:2])
                _, grads, _ = model.training_pass(
                    x, targets, Draw.of(np.random.default_rng(0), 2, model.config, 0.5, 0.5))
                Muon.for_params(model.params).step(model.params, grads, 1e-3, 0.1)
    return watch.calls


def test_a_run_reaches_methods_and_functions():
    calls = run_everything()
    assert {"matmul", "exp", "log", "zeros_like", "ndarray.sum", "ndarray.reshape"} <= set(calls)


@pytest.mark.parametrize("text, call, fits", [
    ("a axis= out=", (1, ["axis"]), True), ("a axis= out=", (0, ["axis"]), False), ("x / out= * dtype=", (2, []), True),
    ("x / out= * dtype=", (3, []), False), ("x / out= * dtype=", (0, ["x"]), False), ("*shape order=", (5, []), True),
    ("*shape order=", (1, ["order"]), True), ("a **kwargs", (1, ["anything"]), True), ("a", (1, ["keepdims"]), False),
])
def test_the_tables_notation(text, call, fits):
    if fits:
        cupy_signatures.check("f", *call, signatures={"f": text})
    else:
        with pytest.raises(TypeError, match="CuPy's f"):
            cupy_signatures.check("f", *call, signatures={"f": text})
