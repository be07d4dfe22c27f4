"""minivit: the Vision Transformer in pure NumPy, forward and backward, section by section.

    >>> import minivit
    >>> minivit.forward("photo.jpg")

The public names and where each lives. A name's module is imported when the name is first used, so `import minivit`
is quick, and the command line can choose the BLAS kernel before NumPy is loaded. `__init__.pyi` says the same to
editors and type checkers, which run nothing.
"""

import importlib
import pkgutil

__version__ = "0.2.0"

_HOME = {
    "forward": "prediction",
    "backward": "prediction",
    "Prediction": "prediction",
    "Gradients": "prediction",
    "embed": "many.embedding",
    "load": "checkpoints.loading",
    "save": "checkpoints.native",
    "state_dict": "checkpoints.timm",
    "init": "training.initial_weights",
    "VisionTransformer": "model",
    "ViTConfig": "config",
    "VARIANTS": "variants",
    "parameter_count": "counting",
    "macs": "counting",
    "explore": "explorer.serving",
    "Preprocessing": "images.preparation",
    "to_device": "engine.devices",
    "check": "checking.exercises",
    "gradient_check": "checking.gradient_checking",
    "compare": "checking.comparison",
    "ImageError": "errors",
    "CheckpointError": "errors",
}

__all__ = list(_HOME)


def __getattr__(name):
    if name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        try:
            return importlib.import_module(f".{name}", __name__)            # a section: minivit.attention.forward
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module 'minivit' has no attribute {name!r}")


def __dir__():
    modules = {module.name for module in pkgutil.iter_modules(__path__)} - {"__main__"}
    return sorted({*globals(), *_HOME, *modules} - {"importlib", "pkgutil"})
