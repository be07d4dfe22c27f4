"""Every link, picture, script and style sheet of a folder of HTML pages: python site/links.py FOLDER lists the faults.

A fault is what leads to no file or no anchor of the folder, what a page would load from another host, a path that
begins with /, which holds at one address alone, and a picture without a text in its place. Links to other hosts are
for the reader to follow; nothing asks for them here. JupyterLite's own pages are not looked at, but a link that opens a
notebook there must find it.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LITE = "lite"                                                           # the folder that JupyterLite is in
LOADED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src", "object": "data",
          "video": "src"}
STYLE_ADDRESS = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")


class Page(HTMLParser):
    """anchors: a page's ids. linked, loaded: the addresses that it links and loads. bare: images without alt."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.linked, self.loaded, self.bare = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and values.get("href") is not None:
            self.linked.append(values["href"])
        elif tag in LOADED and values.get(LOADED[tag]) is not None and values.get("rel") != "canonical":
            self.loaded.append(values[LOADED[tag]])
        if tag == "img" and "alt" not in values:
            self.bare.append(values.get("src", "")[:60])


def faults(folder):
    """One line a fault."""
    folder = Path(folder).resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))
             if folder / LITE not in path.parents}
    found = []
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        found += [f"{name}: an image without alt: {source}" for source in page.bare]
        found += [f"{name}: {fault}" for link in page.linked if (fault := missing(link, path, folder, pages))]
        for source in page.loaded:
            fault = "is loaded from elsewhere" if urlsplit(source).netloc else missing(source, path, folder, pages)
            found += [f"{name}: {source[:80]}: {fault}"] if fault else []
    for path in [path for path in folder.rglob("*.css") if folder / LITE not in path.parents]:
        for source in filter(None, sum(STYLE_ADDRESS.findall(path.read_text(encoding="utf-8")), ())):
            fault = "is loaded from elsewhere" if urlsplit(source).netloc else missing(source, path, folder, pages)
            found += [f"{path.relative_to(folder).as_posix()}: {source[:80]}: {fault}"] if fault else []
    return found


def missing(link, path, folder, pages):
    """What is wrong with a link on the page `path`, or None."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    if parts.path.startswith("/"):
        return f"{link} begins with /"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.is_relative_to(folder) or not target.is_file():
        return f"{link} leads to no file"
    for notebook in parse_qs(parts.query).get("path", []):
        if not (folder / LITE / "files" / notebook).is_file():
            return f"{link} opens no notebook"
    explorer = (folder / "explorer") in target.parents                  # its addresses are settings, not anchors
    if parts.fragment and not explorer and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return f"{link} leads to no anchor"
    return None


if __name__ == "__main__":
    lines = faults(sys.argv[1])
    print(*lines, sep="\n")
    sys.exit(bool(lines))
