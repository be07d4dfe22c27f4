"""The site's sources, put together in one folder: what the repository has, and the few pages of this folder.

Every document keeps its path in the repository, so that links between documents hold as they are. What is added:

    a notebook      a line after its title: the notebook itself, its solutions, its section of the explorer, and the
                    badge that opens it in JupyterLite where the site has that
    a link to code  leads to a page of the site that shows the file, or lists the folder
    the gallery     every figure of the chapters and of docs/pictures, under the heading it stands under

Needs the standard library alone.
"""

import ast
import functools
import json
import re
import shutil
from pathlib import Path, PurePosixPath

import explorer_links
import figures

ROOT = Path(__file__).resolve().parent.parent
PAGES = Path(__file__).resolve().parent
DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**/*.md", "minivit/models/*.md",
             "minivit/samples/*.md", "notebooks/README.md", "notebooks/[0-9]*.ipynb",
             "notebooks/solutions/[0-9]*.ipynb")
PICTURES = ("docs/pictures/*", "notebooks/pictures/*")
SECTIONS = ("vit", "patch_embedding", "cls_token", "position_embedding", "layer", "layer_norm", "attention", "softmax",
            "mlp", "gelu", "linear", "head", "loss", "layer_scale", "swiglu", "distillation", "attention_pooling",
            "normed_head")
FOLDER_PAGES = {"docs/derivations": "docs/derivations.md", "docs": "docs/README.md", "notebooks": "notebooks/README.md",
                "notebooks/solutions": "solutions.md"}
SHOWN = {".py": "python", ".js": "javascript", ".css": "css", ".html": "html", ".yml": "yaml", ".md": "markdown",
         "": "text"}
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
PICTURE_LINK = re.compile(r'<a href="([^"]+)"><img src="([^"]+)" width="(\d+)" alt="([^"]*)"></a>')


@functools.cache
def documents(root=ROOT):
    """The repository's pages, as paths from its root."""
    return sorted({path.relative_to(root).as_posix() for pattern in DOCUMENTS for path in root.glob(pattern)})


def stage(folder, root=ROOT, lite=False):
    """Write the sources into a folder, which is made anew. lite: whether the site has JupyterLite."""
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    shown = set()
    for path in documents(root):
        text = (root / path).read_text(encoding="utf-8")
        write(folder / path, with_links(text, path, root, shown) if path.endswith(".md")
              else notebook(json.loads(text), path, root, shown, lite))
    for pattern in PICTURES:
        for path in root.glob(pattern):
            copy(path, folder / path.relative_to(root))
    for path in [*PAGES.glob("*.md"), *PAGES.glob("*/*.md")]:
        write(folder / path.relative_to(PAGES), path.read_text(encoding="utf-8"))
    for name in SECTIONS:
        text = f"# minivit.{name}\n\n```{{eval-rst}}\n.. automodule:: minivit.{name}\n```\n"
        write(folder / "api" / f"{name}.md", text)
    write(folder / "gallery.md", figures.gallery(folder, root))
    for path in sources(shown, root):
        source_page(folder, path, root)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def copy(path, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def notebook(content, path, root, shown, lite):
    """A notebook's JSON with its row of links, its links to code on pages of the site, and names for its figures."""
    cells = []
    for cell, heading in figures.with_headings(content["cells"]):
        if cell["cell_type"] == "markdown":
            source = with_links("".join(cell["source"]), path, root, shown)
            if not cells:
                title, _, rest = source.partition("\n")
                source = "\n".join([title, "", explorer_links.row(path, root, lite), rest])
            cell = {**cell, "source": explorer_links.linked(source, path)}
        else:
            about = f"Figure under the heading “{heading}”"
            cell = {**cell, "metadata": {**cell["metadata"], "mystnb": {"image": {"alt": about}}}}
        cells.append(cell)
    return json.dumps({**content, "cells": cells}, ensure_ascii=False)


def with_links(text, path, root, shown):
    """Markdown with its links to code and folders turned to the site's pages, which are added to `shown`."""
    def turned(match):
        before, link, after = match.groups()
        name, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link) or (not name and path.endswith(".md")):
            return match[0]
        if not name or name.endswith(".ipynb"):             # Jupyter's anchors have capitals, ours none
            return f"{before}{name}{'#' * bool(anchor)}{figures.slug(anchor)}{after}"
        target = resolved(path, name)
        if not (root / target).exists():
            raise ValueError(f"{path} links {link}, and there is no {target}")
        if target in FOLDER_PAGES:
            return f"{before}/{FOLDER_PAGES[target]}{after}"
        if target in documents(root) or (root / target).suffix in (".png", ".gif", ".svg", ".jpg"):
            return match[0]
        shown.add(target)
        return f"{before}/{page_of(target, root)}{after}"
    text = PICTURE_LINK.sub(r"[![\4](\2){width=\3px}](\1)", text)
    return LINK.sub(turned, text)


def resolved(path, link):
    """A link's target, as a path from the repository's root."""
    parts = []
    for part in (PurePosixPath(path).parent / link).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def page_of(target, root):
    """The page that shows a file or lists a folder, whose names lose their dots: hosts leave hidden folders out.

    A file of data is handed out itself.
    """
    if target in documents(root):
        return target
    place = "source/" + re.sub(r"(^|/)\.", r"\1", target)
    if (root / target).is_dir():
        return f"{place}/index.md"
    return f"{place}.md" if (root / target).suffix in SHOWN else place


def sources(shown, root):
    """The linked files and folders, and the files of those folders."""
    inside = {child.relative_to(root).as_posix() for path in shown if (root / path).is_dir()
              for child in (root / path).iterdir() if child.is_file() and not child.name.startswith(".")}
    return sorted((shown | inside) - set(documents(root)))


def source_page(folder, path, root):
    """Write the page of a file, with its text, or of a folder, with its files and what each says of itself."""
    place, origin = folder / page_of(path, root), root / path
    if origin.is_dir():
        files = sorted(child for child in origin.iterdir() if child.is_file() and not child.name.startswith("."))
        rows = [f"- [{child.name}](/{page_of(f'{path}/{child.name}', root)}) {first_line(child)}" for child in files]
        write(place, "\n".join(["---", "orphan: true", "---", f"# {path}/", "", *rows, ""]))
    elif origin.suffix in SHOWN:
        copy(origin, place.with_suffix(".txt"))
        lines = ["---", "orphan: true", "---", f"# {origin.name}", "", f"`{path}`", "",
                 f"```{{literalinclude}} {origin.name}.txt", f":language: {SHOWN[origin.suffix]}", ":linenos:",
                 "```", ""]
        write(place, "\n".join(lines))
    else:
        copy(origin, place)


def first_line(path):
    """What a module's docstring or a script's first comment says in its first line."""
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    elif path.suffix == ".js":
        text = "".join(re.findall(r"\A// (.*)", path.read_text(encoding="utf-8")))
    else:
        text = ""
    return re.sub(r"([`*_<>\[\]$\\])", r"\\\1", text.split("\n")[0])
