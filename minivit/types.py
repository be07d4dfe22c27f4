"""The names that the annotations of the public functions use."""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

Array: TypeAlias = np.ndarray                           # of a model on the GPU: CuPy's
ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray
Images: TypeAlias = ImageLike | Sequence[ImageLike]     # a list or an array of four axes is a batch
Params: TypeAlias = dict[str, Any]                      # nested under timm's names: {"head": {"weight": Array, …}, …}
