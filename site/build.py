"""The site, built into a folder: python site/build.py out/site [out/lite]. Needs minivit and site/requirements.txt.

The sources are laid out in FOLDER-sources, Sphinx makes the pages of them, and then come what Sphinx does not make: the
notebooks themselves, MathJax, the explorer, and, where its folder is named, the JupyterLite site that lite/build.py
has made, to which each chapter then has a badge. Every warning is an error, and so is a link that leads nowhere.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

import links
import staging
from sphinx.cmd.build import main as sphinx

from minivit import load
from minivit.explorer.page_files import write_page

HOME = ('<nav aria-label="Page">\n    <a href="../index.html" class="button" aria-label="The lesson">'
        '←<span class="long"> The lesson</span></a>')


def build(output, lite=None):
    """Returns an exit status, 0 where all is well."""
    output = Path(output).resolve()
    folder = output.with_name(output.name + "-sources")
    staging.stage(folder, lite=lite is not None)
    shutil.rmtree(output, ignore_errors=True)
    status = sphinx(["-b", "html", "-c", str(staging.PAGES), "-d", str(folder / ".doctrees"), "-W", "--keep-going",
                     "-q", str(folder), str(output)])
    for path in staging.documents():
        if path.endswith(".ipynb"):
            staging.copy(staging.ROOT / path, output / path)
    mathjax(output / "_static" / "mathjax")
    explorer(output / "explorer")
    if lite is not None:
        shutil.copytree(lite, output / links.LITE)
    faults = links.faults(output)
    print(*faults, sep="\n", file=sys.stderr)
    print(f"{output}: {len(list(output.rglob('*.html')))} pages, {len(faults)} faults in links")
    return status or bool(faults)


def mathjax(folder):
    """MathJax with its fonts, out of the package that brings it."""
    package = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    staging.copy(package / "tex-chtml.js", folder / "tex-chtml.js")
    shutil.copytree(package / "output" / "chtml" / "fonts", folder / "output" / "chtml" / "fonts")


def explorer(folder):
    """The explorer, as `minivit explore -o` writes it, with a way back to the lesson."""
    write_page(folder, load())
    page = folder / "index.html"
    before, found, after = page.read_text(encoding="utf-8").partition('<nav aria-label="Page">')
    assert found, "the explorer's page has no <nav aria-label=\"Page\"> any more"
    page.write_text(before + HOME + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(build(*sys.argv[1:]))
