"""Everything the explorer's page consists of, {path below its address: bytes}: for the server, or for a static host."""

from pathlib import Path

from ..checkpoints.atomic import replacing
from ..explain.relatives import check_plain, further_parts, other_conventions
from ..samples import CAT, PHOTOS
from .weights import encode

PAGE = Path(__file__).parent / "page"
PICTURES = ("cat.jpg", "cifar10_test.png")


def page_files(model, encoding=None):
    """The page, the packaged pictures, and a model's weights. encoding: of the weights, see `weights.encode`."""
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.is_file()}
    pictures = [*(CAT.parent / name for name in PICTURES), *PHOTOS.rglob("*.jpg")]
    files |= {f"pictures/{path.relative_to(CAT.parent).as_posix()}": path.read_bytes() for path in pictures}
    files["model.safetensors"] = encode(model, encoding)
    return files


def check_computable(config):
    """Raises ValueError for a relative: the page's own network, vit.js, is the plain ViT."""
    check_plain("the explorer computes", [*further_parts(config), *other_conventions(config)])


def write_page(folder, model):
    """Write the page into a folder, made where it is missing, from where any web server can hand it out.

    Raises ValueError for a relative.
    """
    check_computable(model.config)
    for path, data in page_files(model).items():
        target = Path(folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            Path(temporary).write_bytes(data)
