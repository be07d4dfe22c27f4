"""What CLIP's and SigLIP's files hold in other shapes than the rest, brought into those.

    positions (T, D) -> (1, T, D), and [CLS] (D,) -> (1, 1, D)
    in_proj of attention pooling (3D, D) -> q (D, D) and kv (2D, D)
    a projection without bias -> a head whose bias is 0; OpenAI's, (D, K), is turned to (K, D) too
"""

import re
from dataclasses import replace

import numpy as np

TEXT = "the text side of a pair of towers"
OPENAI_SIGN = re.compile(r"(visual\.)?transformer\.resblocks\.")
POSITIONS = re.compile(r"(.*embeddings\.position_embedding\.weight|(visual\.)?positional_embedding)")
CLASS = re.compile(r"(.*embeddings\.|visual\.)?class_embedding")
IN_PROJ = re.compile(r"(.*head\.attention\.)in_proj_(weight|bias)")
PROJECTION = re.compile(r"visual_projection\.weight")
OPENAI_PROJECTION = re.compile(r"((?:visual\.)?proj)")
NO_BIAS = "a bias of 0, as a projection has none"


def arranged(source):
    """The Source with such tensors in those shapes; any other source as it is."""
    if "visual.class_embedding" in source.shapes:
        outside = {name: TEXT for name in source.shapes if not name.startswith("visual.")}
        source = replace(source, shapes={name: shape for name, shape in source.shapes.items() if name not in outside},
                         ignored=source.ignored | outside)
    made, openai = {}, any(OPENAI_SIGN.match(name) for name in source.shapes)
    for name, shape in source.shapes.items():
        if POSITIONS.fullmatch(name) and len(shape) == 2:
            made[name] = name, (1, *shape), lambda a: a[None]
        elif CLASS.fullmatch(name) and len(shape) == 1:
            made[name] = name, (1, 1, *shape), lambda a: a[None, None]
        elif (match := IN_PROJ.fullmatch(name)) and shape and shape[0] % 3 == 0:
            D = shape[0] // 3
            made[f"{match[1]}q.in_proj_{match[2]}"] = name, (D, *shape[1:]), lambda a, D=D: a[:D]
            made[f"{match[1]}kv.in_proj_{match[2]}"] = name, (2 * D, *shape[1:]), lambda a, D=D: a[D:]
        elif PROJECTION.fullmatch(name) and len(shape) == 2:
            made[name] = name, shape, lambda a: a
            made["visual_projection.bias"] = name, shape[:1], lambda a: np.zeros_like(a[:, 0])
        elif openai and (match := OPENAI_PROJECTION.fullmatch(name)) and len(shape) == 2:
            made[f"{match[1]}.weight"] = name, shape[::-1], lambda a: a.T
            made[f"{match[1]}.bias"] = name, shape[1:], lambda a: np.zeros_like(a[0])
    if any(name.endswith(("visual_projection.bias", "proj.bias")) for name in made):
        source.assumed.append(NO_BIAS)
    return _with_made(source, made)


def _with_made(source, made):
    """The Source with the tensors {name: (whose, shape, make)} in place of those that they are made of."""
    if not made:
        return source
    gone = {theirs for theirs, _, _ in made.values()}
    shapes = {name: shape for name, shape in source.shapes.items() if name not in gone}

    def read(name):
        if name not in made:
            return source.read(name)
        theirs, _, make = made[name]
        return make(source.read(theirs))

    return replace(source, shapes=shapes | {name: shape for name, (_, shape, _) in made.items()}, read=read)
