"""preprocessor_config.json: how Hugging Face's image processors make numbers of an image.

Every processor here does the same: resize, crop the centre, multiply by rescale_factor, subtract the mean and divide by
the standard deviation; each step can be switched off, and each class has its own defaults.
"""

from ..errors import CheckpointError
from ..images.preparation import Preprocessing, fraction_of
from . import json_values

HALF = (0.5, 0.5, 0.5)
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
SQUARE, SHORTEST = {"height": 224, "width": 224}, {"shortest_edge": 224}
# class: (mean, std), PIL's number of the filter, size, crop_size or None, what one number as size means
PROCESSORS = {
    "ViT": ((HALF, HALF), 2, SQUARE, None, True),
    "DeiT": ((HALF, HALF), 3, {"height": 256, "width": 256}, SQUARE, True),
    "Beit": ((HALF, HALF), 3, SQUARE, None, True),
    "Siglip": ((HALF, HALF), 3, SQUARE, None, False),
    "CLIP": (CLIP, 3, SHORTEST, SQUARE, False),
    "Bit": (CLIP, 3, SHORTEST, SQUARE, False),
}
CLASS = ("image_processor_type", "feature_extractor_type")
ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
STEPS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
WITHOUT_EFFECT = ("do_convert_rgb", "do_reduce_labels")      # images are made RGB in any case; labels of segmentation


def preprocessing(about, where, height_width, usual):
    """The Preprocessing of a preprocessor_config.json, {} for its class's defaults. Raises CheckpointError.

    height_width: the model's, which the processor's images must have. usual: the class where the file names none.
    """
    (mean, std), resample, size, crop, square = PROCESSORS[_class(about, where, usual)]
    odd = [name for name in about if name.startswith("do_") and name not in STEPS + WITHOUT_EFFECT and about[name]]
    if odd:
        raise _refused(where, f"{odd[0]} is {about[odd[0]]!r}, a step that minivit does not have")
    do = {step: json_values.truth(about, step, where, step != "do_center_crop" or crop is not None) for step in STEPS}
    resample = about.get("resample") if about.get("resample") is not None else resample
    if isinstance(resample, bool) or resample not in FILTERS:
        raise _refused(where, f"resample is {str(resample)[:40]!r}, expected one of {', '.join(map(str, FILTERS))}")
    mean, std = (json_values.colours(about, key, where, default) for key, default in
                 (("image_mean", mean), ("image_std", std)))
    if not do["do_normalize"]:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    scale = 255 * json_values.number(about, "rescale_factor", where, 1 / 255) if do["do_rescale"] else 255.0
    scale = 1.0 if abs(scale - 1) < 1e-9 else scale
    size = _size(about, "size", where, size, square)
    crop = _size(about, "crop_size", where, crop, True) if do["do_center_crop"] else None
    resize, fraction = _geometry(do["do_resize"], size, crop, where, tuple(height_width))
    # (255 r p - mean) / std, with p the share of white, as (p - mean') / std'.
    return Preprocessing(mean=tuple(m / scale for m in mean), std=tuple(s / scale for s in std), resize=resize,
                         crop_fraction=fraction, interpolation=FILTERS[resample],
                         crop_offset="floor" if "crop" in resize else "round")


def made_size(about, where, usual):
    """The pixels of the images that a preprocessor_config.json makes, one number or (height, width); None for any."""
    _, _, size, crop, square = PROCESSORS[_class(about, where, usual)]
    cropped = json_values.truth(about, "do_center_crop", where, crop is not None)
    made = _size(about, "crop_size", where, crop, True) if cropped else _size(about, "size", where, size, square)
    if isinstance(made, int):
        return None
    return made[0] if made[0] == made[1] else made


def names_its_class(about):
    """Whether a preprocessor_config.json says whose it is."""
    return any(about.get(key) is not None for key in CLASS)


def _class(about, where, usual):
    """The processor's class without its ending; `usual`, that of the model's kind, where none is named."""
    name = next((json_values.text(about, key, where) for key in CLASS
                 if about.get(key) is not None), usual)
    stem = next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)
    if stem not in PROCESSORS:
        raise _refused(where, f"its images are prepared by {name[:60]!r}, expected one of "
                              f"{', '.join(f'{known}ImageProcessor' for known in PROCESSORS)}")
    return stem


def _size(about, key, where, default, square):
    """(height, width), or the length of the shorter edge."""
    value = about.get(key) if about.get(key) is not None else default
    if value is None:
        raise _refused(where, f"do_center_crop is true, but there is no {key}")
    if isinstance(value, int) and not square:
        value = {"shortest_edge": value}
    if not isinstance(value, dict):
        pair = json_values.sides({key: value}, key, where)
        return (pair, pair) if isinstance(pair, int) else pair
    if set(value) == {"height", "width"}:
        pair = json_values.sides({key: [value["height"], value["width"]]}, key, where)
        return (pair, pair) if isinstance(pair, int) else pair
    if set(value) != {"shortest_edge"} or key != "size":
        raise _refused(where, f"{key} has {', '.join(sorted(map(str, value)))[:80]}, expected height and width"
                              f"{', or shortest_edge' * (key == 'size')}")
    return json_values.whole(value, "shortest_edge", where, largest=json_values.LARGEST_SIDE)


def _geometry(do_resize, size, crop, where, model):
    """(resize, crop_fraction) of Preprocessing for these steps. Raises CheckpointError for what it cannot express."""
    if not do_resize:
        if crop is not None:
            raise _refused(where, "it crops images without resizing them")
        return "none", 1.0
    short = isinstance(size, int)
    if short and crop is None:
        raise _refused(where, f"it scales the shorter edge to {size} and crops nothing: images have no one size")
    made = crop or size
    if made != model:
        raise _refused(where, f"it makes images of {made[0]} x {made[1]}, the model reads {model[0]} x {model[1]}")
    if crop is None or size == crop:
        return "stretch", 1.0
    if short and (crop[0] != crop[1] or size < crop[0]):
        raise _refused(where, f"the shorter edge of {size} is cropped to {crop[0]} x {crop[1]}")
    if not short and (size[0] * crop[1] != size[1] * crop[0] or size[0] < crop[0]):
        raise _refused(where, f"images of {size[0]} x {size[1]} are cropped to {crop[0]} x {crop[1]}")
    return "crop" if short else "stretch_crop", fraction_of(crop[0], size if short else size[0])


def _refused(where, what):
    return CheckpointError(f"{where}: {what}: give preprocessing=minivit.Preprocessing(…)")
