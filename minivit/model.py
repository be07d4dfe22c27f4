"""A Vision Transformer with its weights: what `minivit.load` and `minivit.init` return."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import loss, vit
from .config import ViTConfig
from .counting import parameter_count
from .engine import sums, threads
from .engine.devices import check_same_device, device_of, enough_memory, to_device
from .errors import plain
from .explain import screens
from .images.preparation import Preprocessing, prepare
from .ranges import shown
from .trees import tree_map
from .types import Array, Images, Params
from .variants import variant_name


class VisionTransformer:
    """A config, its params, and what images and classes mean to it. No method changes the model.

    config: ViTConfig. params: nested under timm's names, weights (in, out), all of one dtype and on one device.
    preprocessing: Preprocessing. labels: the K classes' names, or None. name: where the weights come from.
    origin: what `minivit.load` notes of the source, checkpoints.loading.Origin, or None.
    """

    def __init__(self, config: ViTConfig, params: Params, *, preprocessing: Preprocessing | None = None,
                 labels: Sequence[str] | None = None, name: str | None = None, origin: Any = None) -> None:
        self.config = config
        self.params = params
        self.preprocessing = Preprocessing() if preprocessing is None else preprocessing
        self.labels = None if labels is None else _texts(labels)
        self.name = name
        self.origin = origin
        if self.labels is not None and len(self.labels) != config.num_classes:
            raise ValueError(f"{len(self.labels)} labels do not name {config.num_classes} classes")
        if not isinstance(name, str | None):
            raise ValueError(f"a model's name is a text or None, found {shown(name)}")
        if not isinstance(self.preprocessing, Preprocessing):
            raise ValueError(f"preprocessing is a minivit.Preprocessing, found {shown(preprocessing)}")

    def prepare(self, image: Images) -> Array:
        """Image(s) -> normalised (B, H, W, 3) in the model's size, dtype and device. Raises ImageError."""
        x = prepare(image, self.config.height_width, self.preprocessing)
        return to_device(x.astype(self.dtype, copy=False), self.device)

    def __call__(self, x: Array) -> Array:
        """Logits (B, K) of prepared images x (B, H, W, 3); nothing is kept for a backward pass."""
        x = self._checked(x)

        def logits(chunk):
            return vit.forward(x[chunk], self.params, self.config, with_cache=False)[0]

        with enough_memory(_named(x)):
            return _joined(threads.each(logits, threads.chunks(x)))

    def forward(self, x: Array) -> tuple[Array, Any]:
        """Logits (B, K) of prepared images x (B, H, W, 3), and the cache that `backward` needs."""
        x = self._checked(x)
        chunks = threads.chunks(x)
        with enough_memory(_named(x)):
            logits, caches = zip(*threads.each(lambda chunk: vit.forward(x[chunk], self.params, self.config), chunks))
            return _joined(logits), list(zip(chunks, caches))

    def backward(self, dlogits: Array, cache: Any) -> tuple[Array, Params]:
        """From dL/dlogits (B, K): dx, the gradient of the pixels (B, H, W, 3), and grads, nested like params."""
        check_same_device(dlogits, self._any_weight, "dlogits")
        dlogits = dlogits.astype(self.dtype, copy=False)
        with enough_memory(f"the gradients of {len(dlogits)} image(s)"):
            dx = np.empty_like(dlogits, shape=(len(dlogits), *self.config.height_width, 3))

            def gradients(part, _):
                chunk, chunk_cache = part
                dx[chunk], grads = vit.backward(dlogits[chunk], chunk_cache)
                return grads

            return dx, sums.total(gradients, cache)[0]

    def loss_and_gradients(self, x: Array, labels: Array) -> tuple[Any, Params]:
        """Mean cross-entropy in nats of images x (B, H, W, 3), and its gradients, nested like params.

        labels: classes (B,), or probabilities (B, K). Raises ValueError where they do not fit the model.
        """
        value, grads, _ = self.training_pass(x, labels)
        return value, grads

    def training_pass(self, x: Array, labels: Array, draw: Any = None) -> tuple[Any, Params, Array]:
        """`loss_and_gradients`, and the logits (B, K). draw: what the images go without, training.dropped.Draw.

        Each chunk of images goes forward and backward before the next, so that only a few images' intermediates are
        held at a time.
        """
        x = self._checked(x)
        targets = loss.as_probabilities(labels, self._empty_logits(len(x)))                # (B, K)
        all_logits = np.empty_like(targets)                                                # (B, K)

        def gradients(chunk, layer_grads):
            share = len(x[chunk]) / len(x)
            dropped = draw and draw.chunk(chunk, self.device)
            logits, cache = vit.forward(x[chunk], self.params, self.config, dropped=dropped)            # (b, K)
            all_logits[chunk] = logits
            value, loss_cache = loss.forward(logits, targets[chunk])
            _, grads = vit.backward(share * loss.backward(loss_cache), cache, layer_grads)
            return {"loss": share * value, "grads": grads}

        with enough_memory(_named(x)):
            result, blocks = sums.total(gradients, threads.chunks(x))
            return result["loss"], {**result["grads"], "blocks": vit.in_order(blocks)}, all_logits

    def to(self, device: str) -> "VisionTransformer":
        """A model with its weights on "cpu" or "cuda". Raises RuntimeError where there is no CuPy or no GPU."""
        if device not in ("cpu", "cuda"):
            raise ValueError(f'a device is "cpu" or "cuda", found {device!r}')
        with enough_memory(f"the model's {parameter_count(self.config):,} parameters"):
            return self.with_params(tree_map(lambda a: to_device(a, device), self.params))

    def astype(self, dtype: DTypeLike) -> "VisionTransformer":
        """A model with its weights, and so its arithmetic, in "float32" or "float64"."""
        dtype = as_dtype(dtype)
        return self.with_params(tree_map(lambda a: a.astype(dtype, copy=False), self.params))

    def with_params(self, params: Params) -> "VisionTransformer":
        """The same model with other weights."""
        return VisionTransformer(self.config, params, preprocessing=self.preprocessing, labels=self.labels,
                                 name=self.name, origin=self.origin)

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64."""
        return self._any_weight.dtype

    @property
    def device(self) -> str:
        """"cpu" or "cuda"."""
        return device_of(self._any_weight)

    def _empty_logits(self, count):
        return np.empty_like(self._any_weight, shape=(count, self.config.num_classes or self.config.width))

    @property
    def _any_weight(self):
        return self.params["patch_embed"]["proj"]["weight"]

    def _checked(self, x):
        height, width = self.config.height_width
        check_same_device(x, self._any_weight, "the input")
        if x.ndim != 4 or x.shape[1:] != (height, width, 3):
            raise ValueError(f"the model reads arrays of shape (B, {height}, {width}, 3), found {x.shape}: "
                             "model.prepare(image) makes them")
        if len(x) == 0:
            raise ValueError("an empty batch: give at least one image")
        return x.astype(self.dtype, copy=False)

    def __repr__(self) -> str:
        c = self.config
        size = " x ".join(str(side) for side in c.height_width)
        name = plain(self.name or variant_name(c) or f"D {c.width}, L {c.num_layers}")
        return (f"VisionTransformer({name}: {parameter_count(c):,} parameters, images of {size} pixels, "
                f"{c.num_classes} classes, {self.dtype} on {self.device})")

    def _repr_html_(self) -> str:
        return screens.model_screen(self).as_html()


def _texts(labels):
    """The labels as a list of texts, NumPy's as Python's. Raises ValueError for what no file could say again."""
    names = labels.tolist() if isinstance(labels, np.ndarray) else labels
    is_list = isinstance(names, Sequence) and not isinstance(names, (str, bytes))
    odd = [name for name in names if not isinstance(name, str)] if is_list else [names]
    if odd:
        raise ValueError(f"labels are a list of the classes' names, each a text, found {shown(odd[0])}")
    return [str(name) for name in names]


def as_dtype(dtype):
    """np.float32 or np.float64. Raises ValueError for another: half precision is for storage only."""
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        dtype = None
    if dtype not in (np.float32, np.float64):
        raise ValueError('minivit computes in "float32" or "float64"; float16 and bfloat16 are for files only')
    return dtype


def _named(x):
    return f"{len(x)} image(s) of {x.shape[1]} x {x.shape[2]} pixels"


def _joined(parts):
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
