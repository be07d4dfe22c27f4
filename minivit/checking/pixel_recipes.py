"""How a reference prepared its pixels: told from the image, or, without it, from what the numbers themselves show.

Pixels of an 8-bit image stand on a grid: (k / 255 − mean) / std with whole k from 0 to 255. Numbers on the grid of
another recipe, and not on the model's own, were prepared by that other recipe.
"""

import itertools
from dataclasses import replace

import numpy as np

from ..errors import ImageError
from .evidence import relative

HALF, IMAGENET = (0.5, 0.5, 0.5), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MEANS = {"mean 0.5 and standard deviation 0.5": (HALF, HALF),
         "ImageNet's mean (0.485, 0.456, 0.406) and standard deviation (0.229, 0.224, 0.225)": IMAGENET,
         "CLIP's mean (0.481, 0.458, 0.408) and standard deviation (0.269, 0.261, 0.276)":
             ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
         "CIFAR-10's mean (0.491, 0.482, 0.447) and standard deviation (0.247, 0.244, 0.262)":
             ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
         "mean 0 and standard deviation 1, from 0 to 1 (not normalised)": ((0, 0, 0), (1, 1, 1)),
         "ImageNet's mean, but no standard deviation": (IMAGENET[0], (1, 1, 1)),
         "ImageNet's standard deviation, but no mean": ((0, 0, 0), IMAGENET[1]),
         "values from 0 to 255 (neither divided by 255 nor normalised)": ((0, 0, 0), (1 / 255, 1 / 255, 1 / 255)),
         "values from -127.5 to 127.5": (HALF, (1 / 255, 1 / 255, 1 / 255))}
CROPS = (0.8, 0.85, 0.875, 0.9, 0.95, 0.96, 1.0)
WRONG, LIKELY = "wrong", "likely"


def of_image(model, image, pixels, allowed):
    """What was done otherwise to `image`, in words, or None: means, channels, filter, resizing and crop are tried."""
    own = model.preprocessing
    size = model.config.height_width

    def prepared(recipe):
        from ..images.preparation import prepare
        return prepare(image, size, recipe).astype(np.float64)

    def fits(x):
        return relative(x, pixels) <= max(allowed, 1e-6)       # normalisation in another order rounds by 1e-7

    ways = [replace(own, interpolation=way) for way in ("bilinear", "bicubic", "lanczos", "nearest")]
    ways += [replace(own, resize="stretch")] + [replace(own, resize="crop", crop_fraction=c) for c in CROPS]
    ways += [replace(own, resize=r, crop_fraction=c, interpolation=way) for way in ("bilinear", "bicubic", "lanczos")
             for r, c in (("stretch", own.crop_fraction), *(("crop", c) for c in CROPS))]
    means = [(own.mean, own.std), *MEANS.values(), (own.mean[::-1], own.std[::-1])]
    for way in dict.fromkeys([own, *ways]):
        try:
            x = prepared(way)
        except ImageError:
            continue
        whole = x * own.std + own.mean
        for (mean, std), turned in itertools.product(dict.fromkeys((tuple(m), tuple(s)) for m, s in means), (1, -1)):
            if fits(((whole - mean) / std)[..., ::turned]):
                return _told(own, replace(way, mean=mean, std=std) if min(std) > 0 else way, turned)
    return None


def _told(own, other, turned):
    """Which fields of the Preprocessing differ, in words."""
    parts = ["the channels are in the order blue, green, red"] if turned < 0 else []
    same_means = {"mean": other.mean == own.mean, "std": other.std == own.std}
    if not all(same_means.values()):
        name = next((name for name, (mean, std) in MEANS.items() if (tuple(map(float, mean)), tuple(map(float, std)))
                     == (other.mean, other.std)), f"mean {other.mean} and standard deviation {other.std}")
        parts.append(f"they are normalised otherwise: {name}; the model has mean {own.mean} and standard deviation "
                     f"{own.std}")
    parts += [f'{field}="{getattr(other, field)}", found "{getattr(own, field)}"' if field != "crop_fraction" else
              f"crop_fraction={other.crop_fraction}, found {own.crop_fraction}"
              for field in ("resize", "crop_fraction", "interpolation")
              if getattr(other, field) != getattr(own, field) and not (field == "crop_fraction"
                                                                       and other.resize == "stretch")]
    return "the pixels are prepared otherwise: " + ", ".join(parts) if parts else None


def of_pixels(model, pixels):
    """(WRONG or LIKELY, what is seen) of pixels whose image is not known, or None where nothing speaks against them."""
    own = model.preprocessing
    if _on_grid(pixels, own.mean, own.std):
        red, _, blue = (pixels * own.std + own.mean).mean(axis=(0, 1, 2))
        return (LIKELY, f"the pixels are bluer than most photographs (mean of red {red:.2f}, of blue {blue:.2f}, where "
                        "white is 1): are their channels in the order red, green, blue?") if blue > red + 0.05 else None
    expected = f"the model has mean {_numbers(own.mean)} and standard deviation {_numbers(own.std)}"
    for name, (mean, std) in MEANS.items():
        if _on_grid(pixels, mean, std):
            return WRONG, (f"the pixels look prepared otherwise: every number is an 8-bit one under {name}, not under "
                           f"the model's; {expected}")
    for words, mean, std in (
            ("the channels look to be in the order blue, green, red: every number is an 8-bit one under the model's "
             "mean and standard deviation taken in that order", own.mean[::-1], own.std[::-1]),
            ("the pixels look normalised twice", np.add(own.mean, np.multiply(own.std, own.mean)),
             np.square(own.std))):
        if _on_grid(pixels, mean, std):
            return WRONG, f"{words}; {expected}"
    return _range(pixels, own, expected)


def _range(pixels, own, expected):
    """What the range of the numbers shows, where they are on no grid."""
    low = ((0 - np.array(own.mean)) / own.std).min()
    high = ((1 - np.array(own.mean)) / own.std).max()
    least, most = float(pixels.min()), float(pixels.max())
    seen = (f"the pixels run from {least:.3g} to {most:.3g}, those of an image under the model's mean and standard "
            f"deviation from {low:.3g} to {high:.3g}")
    if least >= 0 and most > 20:
        return WRONG, f"{seen}: they look like 0 to 255, not divided and not normalised; {expected}"
    if least >= 0 and 0.5 < most <= 1 and low < 0:
        return LIKELY, f"{seen}: they look like 0 to 1, not normalised; {expected}"
    return None


def _on_grid(pixels, mean, std):
    """Whether all numbers are (k / 255 − mean) / std for whole k from 0 to 255, to float32's rounding.

    Numbers of a single grey level would be on many grids: enough different ones are asked for.
    """
    k = (pixels * std + mean) * 255
    if not (k.min() > -0.5 and k.max() < 255.5) or len(np.unique(np.round(k))) < 8:
        return False
    return bool(np.abs(k - np.round(k)).max() < 5e-3)


def _numbers(values):
    return "(" + ", ".join(f"{v:.4g}" for v in values) + ")"
