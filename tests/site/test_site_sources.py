"""The site's sources, without Sphinx: its table of contents, its links, its docstrings, and the checker of links."""

import importlib
import inspect
import json
import re
import runpy
import sys
from fnmatch import fnmatchcase
from html import escape
from pathlib import Path

import pytest

import minivit

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def site():
    """site/ is a folder of scripts, which import one another by name."""
    sys.path.insert(0, str(ROOT / "site"))
    yield
    sys.path.remove(str(ROOT / "site"))


def module(name):
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def sources(site, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "sources"
    module("staging").stage(folder)
    return folder


def contents(sources):
    """[(page, the pages below it)] of every table of contents, patterns resolved as Sphinx does."""
    pages = sorted(p.relative_to(sources).with_suffix("").as_posix() for p in sources.rglob("*")
                   if p.suffix in (".md", ".ipynb"))
    found = []
    for path in sources.rglob("*.md"):
        folder = path.parent.relative_to(sources).as_posix()
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            for line in filter(None, block.split("\n")):
                if not line.startswith(":"):
                    name = re.sub(r".*<(.*)>", r"\1", line)
                    name = name if folder == "." else f"{folder}/{name}"
                    matching = [page for page in pages
                                if fnmatchcase(page, name) and page.count("/") == name.count("/")]
                    assert matching, f"{path.name} names {name}, and there is none"
                    found += matching
    return found


def test_the_contents_name_every_chapter_solution_derivation_and_guide(sources):
    listed = contents(sources)
    patterns = ("notebooks/[0-9]*.ipynb", "notebooks/solutions/*.ipynb", "docs/derivations/*.md", "docs/*.md",
                "minivit/models/*.md", "CHANGELOG.md")
    for pattern in patterns:
        pages = [p.relative_to(ROOT).with_suffix("").as_posix() for p in ROOT.glob(pattern)]
        assert pages and set(pages) <= set(listed), set(pages) - set(listed)
    assert len(listed) == len(set(listed)), sorted(page for page in listed if listed.count(page) > 1)


def test_the_reference_has_every_public_name_and_section(sources):
    text = "".join(path.read_text("utf-8") for path in (sources / "api").glob("*.md"))
    names = set(re.findall(r"auto(?:function|class|data|exception|module):: minivit\.(\w+)$", text, re.MULTILINE))
    stub = (ROOT / "minivit" / "__init__.pyi").read_text("utf-8")
    sections = set(re.findall(r"^from \. import (\w+)", stub, re.MULTILINE)) - {"samples"}
    assert names >= set(minivit.__all__) | sections
    assert set(module("staging").SECTIONS) == sections
    assert {f"api/{name}" for name in sections} <= set(contents(sources))


def test_a_chapter_is_the_notebook_and_a_row_of_links(sources):
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        before, after = (json.loads((folder / "notebooks" / path.name).read_text("utf-8"))["cells"]
                         for folder in (ROOT, sources))
        assert [c["cell_type"] for c in before] == [c["cell_type"] for c in after]
        for old, new in zip(before, after):
            if old["cell_type"] == "code":
                assert (old["source"], old["outputs"]) == (new["source"], new["outputs"])
        assert f'<a href="{path.name}" download>' in "".join(after[0]["source"])
        solutions = ROOT / "notebooks" / "solutions" / path.name
        assert (f"](solutions/{path.name})" in "".join(after[0]["source"])) == solutions.exists()


def test_each_chapter_has_a_badge_where_the_site_has_jupyterlite(sources, tmp_path):
    """It is relative, as the site has no address of its own, and leads to a notebook that lite/build.py writes."""
    module("staging").stage(tmp_path / "sources", lite=True)
    (tmp_path / "files").mkdir()
    runpy.run_path(str(ROOT / "lite" / "build.py"))["contents"](tmp_path / "files")
    chapters = [path for path in module("staging").documents() if path.endswith(".ipynb")]
    assert len(chapters) > 20
    for path in chapters:
        up = "../" * path.count("/")
        name = path.removeprefix("notebooks/")
        badge = f'<a href="{up}lite/lab/index.html?path={name}">Run it in the browser</a>'
        told = f"[What of this was tested]({up}docs/browser.md)"
        first, without = ("".join(json.loads((folder / path).read_text("utf-8"))["cells"][0]["source"])
                          for folder in (tmp_path / "sources", sources))
        assert badge in first and told in first and "lite/" not in without and told not in without
        assert (tmp_path / "files" / name).is_file()


def test_each_chapter_opens_its_own_section_of_the_explorer():
    """README's table says which lessons a chapter has."""
    links, of = module("explorer_links"), {}
    for section, chapter in re.findall(r"^\| (\d+) \|.*\[(\w+)\]\(notebooks/", (ROOT / "README.md").read_text("utf-8"),
                                       re.MULTILINE):
        of.setdefault(chapter, set()).add(int(section))
    assert len(of) >= 12 and set(of) <= set(links.PLACES)
    for chapter, place in links.PLACES.items():
        assert (ROOT / "notebooks" / f"{chapter}.ipynb").is_file()
        assert place["section"] in of[chapter] if chapter in of else "part" in place


def test_the_commands_of_the_chapters_are_the_explorers(monkeypatch):
    """Each command is understood, and leads where the site's link leads; a line that a chapter carries is this one."""
    from minivit.commands import cli
    from minivit.explorer import serving
    links, places = module("explorer_links"), []
    monkeypatch.setattr(serving, "serve", lambda model, port, browser, place: places.append(place))
    for chapter, place in links.PLACES.items():
        assert cli.main(links.command(place).split()[1:]) == 0
        assert places.pop() == links.address(place)
        page = f"notebooks/{chapter}.ipynb"
        assert f'href="../explorer/index.html{escape(links.address(place))}"' in links.linked(links.line(chapter), page)
        text = (ROOT / page).read_text("utf-8")
        assert all(command == links.command(place) for command in re.findall(r"`(minivit explore --[^`]*)`", text))


def test_links_to_code_lead_to_pages_that_show_it(sources):
    text = (sources / "docs" / "derivations" / "attention.md").read_text("utf-8")
    assert "](/source/minivit/attention.py.md)" in text and "](softmax.md)" in text
    assert (sources / "source" / "minivit" / "attention.py.txt").read_bytes() == \
        (ROOT / "minivit" / "attention.py").read_bytes()
    assert "literalinclude} attention.py.txt" in (sources / "source" / "minivit" / "attention.py.md").read_text("utf-8")
    folder = (sources / "source" / "minivit" / "training" / "index.md").read_text("utf-8")
    assert "](/source/minivit/training/muon.py.md)" in folder
    with pytest.raises(ValueError, match=r"docs/a\.md links \.\./nowhere\.py, and there is no nowhere\.py"):
        module("staging").with_links("see [it](../nowhere.py)", "docs/a.md", ROOT, set())


def test_anchors_are_the_sites():
    slug, with_links = module("figures").slug, module("staging").with_links
    assert slug("Why divide by $\\sqrt d$") == "why-divide-by-"
    assert slug("1 · One row, one look") == "1--one-row-one-look"
    assert with_links("[x](00_tour.ipynb#Five-things-you-need)", "notebooks/05_attention.ipynb", ROOT, set()) == \
        "[x](00_tour.ipynb#five-things-you-need)"


def test_equations_in_docstrings_keep_their_lines():
    """Also where every line after the first is an equation, whose indentation Python itself would take off."""
    docstrings = module("docstrings")
    text = "\n".join(docstrings.as_rst(docstrings.written(minivit.attention)))
    lines = inspect.getsource(minivit.attention).split("\n")[2:6]
    assert lines[1].lstrip().startswith("A = softmax") and ".. code-block:: text\n\n" + \
        "\n".join("   " + line[4:] for line in lines) in text
    assert docstrings.as_rst("Of `x`, an x_ and |y|.\n\nx, y: (B, T).", ["x", "y"]) == \
        [r"Of ``x``, an x\_ and \|y\|.", "", "``x``, ``y``: (B, T).", ""]
    assert docstrings.as_rst("One.\n    >>> f(1)\n    2\nTwo.")[2] == ".. code-block:: pycon"


def test_every_figure_is_in_the_gallery(sources):
    figures = module("figures")
    text = (sources / "gallery.md").read_text("utf-8")
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        count = len([output for output in outputs if set(output.get("data", {})) & set(figures.KINDS)])
        assert count == text.count(f"{{figure}} gallery/{path.stem}_") == len(list(figures.figures(cells))) > 0
    assert all(f"docs/pictures/{path.name}" in text for path in (ROOT / "docs" / "pictures").iterdir())


GOOD = '<h1 id="top">a</h1><a href="b/">b</a><a href="#top">t</a><img src="p.png" alt=""><a href="https://x.org/">x</a>'
BAD = {
    '<a href="c.html">c</a>': "c.html leads to no file",
    '<a href="b/index.html#nowhere">b</a>': "b/index.html#nowhere leads to no anchor",
    '<a href="#nowhere">b</a>': "#nowhere leads to no anchor",
    '<a href="/b/">b</a>': "/b/ begins with /",
    '<a href="../outside.html">c</a>': "../outside.html leads to no file",
    '<img src="q.png" alt="">': "q.png: q.png leads to no file",
    '<img src="p.png">': "an image without alt: p.png",
    '<script src="https://cdn.example/x.js"></script>': "https://cdn.example/x.js: is loaded from elsewhere",
    '<link rel="stylesheet" href="//cdn.example/x.css">': "//cdn.example/x.css: is loaded from elsewhere",
}


@pytest.fixture
def built(tmp_path):
    (tmp_path / "site" / "b").mkdir(parents=True)
    (tmp_path / "outside.html").write_text("<p>")
    (tmp_path / "site" / "b" / "index.html").write_text('<p id="here"><a href="../index.html#top">a</a>')
    (tmp_path / "site" / "p.png").write_bytes(b"")
    (tmp_path / "site" / "index.html").write_text(GOOD)
    return tmp_path / "site"


def test_the_checker_passes_a_sound_site(built):
    assert module("links").faults(built) == []


@pytest.mark.parametrize("html", BAD)
def test_the_checker_finds(built, html):
    (built / "index.html").write_text(GOOD + html)
    assert module("links").faults(built) == [f"index.html: {BAD[html]}"]


def test_the_checker_leaves_jupyterlite_alone_but_finds_badges_that_open_nothing(built):
    (built / "lite" / "lab").mkdir(parents=True)
    (built / "lite" / "files" / "solutions").mkdir(parents=True)
    (built / "lite" / "lab" / "index.html").write_text('<script src="https://cdn.example/x.js"></script>')
    (built / "lite" / "a.css").write_text('@import "https://cdn.example/b.css";')
    (built / "lite" / "files" / "solutions" / "05.ipynb").write_text("{}")
    badge = '<a href="lite/lab/index.html?path={}">Run it</a>'
    (built / "index.html").write_text(GOOD + badge.format("solutions/05.ipynb") + badge.format("06.ipynb"))
    assert module("links").faults(built) == ["index.html: lite/lab/index.html?path=06.ipynb opens no notebook"]


def test_the_checker_reads_style_sheets(built):
    css = '@import "https://cdn.example/b.css"; a { background: url(c.png) } b { c: url("p.png") }'
    (built / "a.css").write_text(css)
    assert module("links").faults(built) == ["a.css: https://cdn.example/b.css: is loaded from elsewhere",
                                             "a.css: c.png: c.png leads to no file"]
