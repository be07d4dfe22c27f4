"""CuPy is imported plainly: `make kernels` fails without it; `make test`, which may lack it, leaves the files out."""


def pytest_ignore_collect(config):
    """Leave this folder out where its marker is."""
    return True if "not kernels" in config.option.markexpr else None
