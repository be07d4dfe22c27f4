"""The notebooks' figures: under which heading each stands, and a gallery of them all."""

import base64
import json
import re

KINDS = {"image/svg+xml": "svg", "image/png": "png"}


def with_headings(cells):
    """(cell, the heading above it) of each cell."""
    heading = ""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            heading = ([heading] + re.findall(r"^#+ +(.+?) *$", "".join(cell["source"]), re.MULTILINE))[-1]
        yield cell, heading


def slug(heading):
    """A heading's anchor on the site: GitHub's rule, which leaves out formulas."""
    words = re.sub(r"\$[^$]*\$", "", heading).lower().replace(" ", "-")
    return re.sub(r"[^\w\-]", "", words)


def figures(cells):
    """(heading, ending, bytes) of every figure in the cells' outputs."""
    for cell, heading in with_headings(cells):
        for output in cell.get("outputs", []):
            kind = next((kind for kind in KINDS if kind in output.get("data", {})), None)
            if kind:
                text = "".join(output["data"][kind])
                yield heading, KINDS[kind], text.encode() if kind == "image/svg+xml" else base64.b64decode(text)


def gallery(folder, root):
    """The gallery's page; the figures are written beside it. Each leads to its place in its chapter."""
    parts = ["# Gallery"]
    for path in sorted((root / "notebooks").glob("[0-9]*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        page = f"/notebooks/{path.name}"
        title = re.search(r"^# (.+)", "".join(cells[0]["source"]), re.MULTILINE)[1]
        parts += ["", f"## [{title}]({page})", "", ":::::{container} gallery"]
        for i, (heading, ending, data) in enumerate(figures(cells)):
            picture = folder / "gallery" / f"{path.stem}_{i}.{ending}"
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(data)
            parts += [f":::{{figure}} gallery/{picture.name}", f":alt: Figure under the heading “{heading}”",
                      f":target: notebooks/{path.stem}.html#{slug(heading)}", ":loading: lazy", "",
                      f"[{heading}]({page}#{slug(heading)})", ":::"]
        parts += [":::::"]
    parts += ["", "## Measurements and documents", "", ":::::{container} gallery"]
    for path in sorted((root / "docs" / "pictures").iterdir()):
        words = path.stem.replace("_", " ")
        parts += [f":::{{figure}} docs/pictures/{path.name}", f":alt: {words}", ":loading: lazy", "", words, ":::"]
    return "\n".join([*parts, ":::::", ""])
