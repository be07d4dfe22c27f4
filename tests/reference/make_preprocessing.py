"""Make preprocessing.npz: what timm's, torchvision's and Hugging Face's evaluation transforms make of three images.

Needs torch, torchvision, timm and transformers: python tests/reference/make_preprocessing.py
Each case is stored as "<image>|<library>|<settings>": the settings as "height x width, fraction or resize, filter".
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image

# torchvision's wheel wants its CUDA operators to be known, though none is run here.
LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
for NAME in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
             "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"):
    LIBRARY.define(NAME)

from timm.data import create_transform  # noqa: E402
from torchvision.transforms import InterpolationMode  # noqa: E402
from torchvision.transforms._presets import ImageClassification  # noqa: E402
from transformers import ViTImageProcessorPil  # noqa: E402

HERE = Path(__file__).parent
PHOTO = HERE.parent.parent / "minivit" / "samples" / "cat.jpg"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def images():
    """A landscape image of noise, an upright one of waves, and a part of the photo, none with a round size."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:61, :41]
    waves = np.stack([np.sin(x / 3) * np.cos(y / 5), np.sin(y / 2), np.cos((x + y) / 7)], axis=-1)
    photo = Image.open(PHOTO).convert("RGB").crop((40, 30, 227, 151))
    return {"noise": rng.integers(0, 256, (37, 53, 3), dtype=np.uint8),
            "waves": np.round(127.5 + 127.5 * waves).astype(np.uint8),
            "photo": np.asarray(photo)}


def timm_cases(picture):
    """Crop fractions and filters that timm's ViT checkpoints use, on square and other sizes, even and odd."""
    for size in ((24, 24), (23, 23), (16, 32), (32, 16)):
        for fraction in (0.9, 1.0):
            for interpolation in ("bicubic", "bilinear"):
                transform = create_transform((3, *size), is_training=False, crop_pct=fraction, mean=MEAN, std=STD,
                                             interpolation=interpolation)
                yield f"timm|{size[0]} x {size[1]}, {fraction}, {interpolation}", transform(picture)


def torchvision_cases(picture):
    """The presets of torchvision's ViT weights, with their ratio of resize to crop."""
    for crop, resize, mode in ((28, 32, "bilinear"), (24, 24, "bicubic"), (21, 24, "bilinear")):
        preset = ImageClassification(crop_size=crop, resize_size=resize, interpolation=InterpolationMode(mode))
        yield f"torchvision|{crop} x {crop}, {resize}, {mode}", preset(picture)


def hugging_face_cases(picture):
    """ViTImageProcessor's stretch, in its Pillow form, of the images that are wider than high.

    Pillow 13 resizes rows and columns in the other order where that is less work, so that an upright image stretched
    to a square comes out one level apart from Pillow 12 in places, here as in Hugging Face's processor.
    """
    if picture.height > picture.width:
        return
    for height, width in ((24, 24), (16, 32)):
        processor = ViTImageProcessorPil(size={"height": height, "width": width}, resample=Image.Resampling.BILINEAR)
        yield (f"hugging_face|{height} x {width}, stretch, bilinear",
               torch.as_tensor(processor(picture, return_tensors="np")["pixel_values"][0]))


def main():
    """Write the file; outputs are stored as (H, W, 3) float32."""
    arrays = {}
    for name, pixels in images().items():
        arrays[name] = pixels
        for cases in (timm_cases, torchvision_cases, hugging_face_cases):
            for case, output in cases(Image.fromarray(pixels)):
                arrays[f"{name}|{case}"] = output.numpy().transpose(1, 2, 0)
    versions = [f"{name} {version(name)}" for name in ("torch", "torchvision", "timm", "transformers", "Pillow")]
    np.savez_compressed(HERE / "preprocessing.npz", versions=np.array(versions), **arrays)


if __name__ == "__main__":
    main()
