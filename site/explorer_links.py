"""Where in the explorer each chapter can be touched: python site/explorer_links.py prints each chapter's line.

A section's number is that of the lesson, as README gives it to the chapter; layer, head and patch count from 0, and
those that a model does not have are ignored. Chapters without an entry have no part of the explorer: training, and the
GPU.
"""

import re
from html import escape
from pathlib import Path, PurePosixPath

from links import LITE

PLACES = {
    "00_tour": {"section": 0},
    "01_receptive_field": {"section": 1, "layer": 0, "head": 0, "patch": 27},
    "02_patches": {"section": 2},
    "03_cls_token": {"section": 4, "patch": "cls"},
    "04_positions": {"section": 5, "patch": 27},
    "05_attention": {"section": 6, "layer": 3, "head": 1, "patch": 27},
    "06_mlp": {"section": 8, "layer": 3, "patch": 27},
    "07_layers": {"section": 9, "patch": "cls"},
    "08_head": {"section": 10, "patch": "cls"},
    "09_forward": {"section": 7},
    "10_backward": {"class": "cat", "part": "backward"},
    "12_what_it_sees": {"section": 16, "patch": "cls"},
    "13_quadratic_cost": {"section": 15},
    "14_variants": {"section": 17},
    "15_reference_weights": {"part": "trace"},
}
COMMAND = re.compile(r"`minivit explore((?: --(?:section|layer|head|patch|class|part) \w+)+)`")


def address(place):
    """{"section": 6, "layer": 3} -> #section=6&layer=3."""
    return "#" + "&".join(f"{name}={value}" for name, value in place.items())


def command(place):
    """{"section": 6, "layer": 3} -> minivit explore --section 6 --layer 3."""
    return " ".join(["minivit explore", *(f"--{name} {value}" for name, value in place.items())])


def line(chapter):
    """The line for a chapter's notebook, which holds on GitHub and in Jupyter alike, or None."""
    place = PLACES.get(chapter)
    return place and f"**Touch it:** `{command(place)}` opens this part in the [explorer](../docs/explorer.md)."


def linked(text, path):
    """Markdown of a page, its `minivit explore --section …` turned into links to the site's explorer."""
    up = "../" * (len(PurePosixPath(path).parts) - 1)
    def link(match):
        place = dict(pair.split() for pair in match[1].split(" --")[1:])
        return f'<a href="{up}explorer/index.html{escape(address(place))}"><code>{match[0][1:-1]}</code></a>'
    return COMMAND.sub(link, text)


def row(path, root, lite=False):
    """The links under a notebook's title: the notebook, its place in the explorer, its solutions or its chapter.

    With lite, also the badge that opens it in JupyterLite. It holds at any address: it is relative to the page.
    """
    name, place = PurePosixPath(path).name, PLACES.get(PurePosixPath(path).stem)
    links = [f'<a href="{name}" download>This page as a notebook</a>']
    if "solutions" in path:
        links += [f"[The chapter](../{name})"]
    else:
        if place:
            links += [f'<a href="../explorer/index.html{escape(address(place))}">Touch it in the explorer</a>']
        if (root / "notebooks" / "solutions" / name).exists():
            links += [f"[Solutions](solutions/{name})"]
    if lite:
        up, inside = "../" * (len(PurePosixPath(path).parts) - 1), PurePosixPath(path).relative_to("notebooks")
        links += [f'<a href="{up}{LITE}/lab/index.html?path={inside}">Run it in the browser</a>',
                  f"[What of this was tested]({up}docs/browser.md)"]
    return ":::{container} chapter-links\n" + "\n".join(links) + "\n:::"


if __name__ == "__main__":
    for path in sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("[0-9]*.ipynb")):
        print(f"{path.stem}\n    {line(path.stem) or '(none)'}")
