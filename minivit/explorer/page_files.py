"""Everything the explorer's page consists of, {path below its address: bytes}: for the server, or for a static host."""

from pathlib import Path

from ..checkpoints.atomic import replacing
from ..explain.relatives import check_plain, further_parts, other_conventions
from ..samples import CAT, PHOTOS
from .weights import encode

PAGE = Path(__file__).parent / "page"
PICTURES = ("cat.jpg", "cifar10_test.png")
RESIZES, FILTERS = ("crop", "stretch"), ("nearest", "bilinear", "bicubic", "lanczos")    # those of preparation.js


def page_files(model, encoding=None):
    """The page, the packaged pictures, and a model's weights. encoding: of the weights, see `weights.encode`."""
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.is_file()}
    pictures = [*(CAT.parent / name for name in PICTURES), *PHOTOS.rglob("*.jpg")]
    files |= {f"pictures/{path.relative_to(CAT.parent).as_posix()}": path.read_bytes() for path in pictures}
    files["model.safetensors"] = encode(model, encoding)
    return files


def check_computable(model):
    """Raises ValueError for a relative, as the page's own network, vit.js, is the plain ViT.

    And for a preprocessing that the page's preparation.js does not know.
    """
    check_plain("the explorer computes", [*further_parts(model.config), *other_conventions(model.config)])
    p = model.preprocessing
    if p.resize not in RESIZES or p.interpolation not in FILTERS or (p.resize == "crop" and p.crop_offset != "round"):
        raise ValueError(f"the explorer prepares pictures by resize {' or '.join(RESIZES)}, crop_offset round and the "
                         f"filters {', '.join(FILTERS)}, found {p.resize}, {p.crop_offset} and {p.interpolation}: load "
                         "the model with preprocessing=minivit.Preprocessing(...)")


def write_page(folder, model):
    """Write the page into a folder, made where it is missing, from where any web server can hand it out.

    Raises ValueError as check_computable does.
    """
    check_computable(model)
    for path, data in page_files(model).items():
        target = Path(folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            Path(temporary).write_bytes(data)
