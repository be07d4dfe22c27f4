"""Links lead somewhere, and names in code font exist: what README, notebooks/README and docs/ promise a reader."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

import minivit
from minivit.commands import cli
from minivit.commands.outputs import separate_json

ROOT = Path(__file__).parents[1]
PAGES = [page for page in (ROOT / "README.md", ROOT / "notebooks" / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
         if page.exists()]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAME = re.compile(r"`([a-z_]+)\.([a-z_]+)(?:\([^`]*\))?`")
DERIVATIONS = ("linear", "patch_embedding", "cls_token", "position_embedding", "layer_norm", "softmax", "attention",
               "gelu", "mlp", "layer", "head", "loss", "vit", "layer_scale", "swiglu", "distillation",
               "attention_pooling")


def of(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_relative_links_lead_to_files(page):
    targets = [link for link in LINK.findall(page.read_text("utf-8")) if not re.match(r"[a-z]+:", link)]
    broken = [link for link in targets if not link.startswith("#") and not (page.parent / link.split("#")[0]).exists()]
    assert not broken


def commands(text):
    """[arguments] of every `minivit …` that stands on a line of its own in a block of code, && and \\ taken apart."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", "".join(block for language, block in blocks if not language)).splitlines()
    return [shlex.split(part, comments=True)[1:] for line in lines for part in line.split("&&")
            if part.strip().startswith("minivit ")]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "minivit" / "models" / "cifar10.md"], ids=of)
def test_command_lines_are_complete(page):
    """As far as the parser sees: every option is known, nothing is missing."""
    for arguments in commands(page.read_text("utf-8")):
        assert cli._parser().parse_args(separate_json(arguments)).run


def test_examples_of_the_help_are_complete(capsys):
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit):
            cli._parser().parse_args([name, "--help"])
        examples = commands("```\n" + capsys.readouterr().out.partition("example:\n")[2] + "```\n")
        assert examples
        for arguments in examples:
            assert cli._parser().parse_args(separate_json(arguments)).run


def test_an_incomplete_command_line_is_found():
    text = ("```python\nminivit\n```\n"
            "```\nminivit predict a.jpg   # why\nminivit train a \\\n  -o b && minivit compare c\n```\n")
    assert commands(text) == [["predict", "a.jpg"], ["train", "a", "-o", "b"], ["compare", "c"]]
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["compare", "c"])


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_links_to_headings_lead_to_headings(page):
    for link in LINK.findall(page.read_text("utf-8")):
        path, _, heading = link.partition("#")
        if not heading or re.match(r"[a-z]+:", link) or not path.endswith((".md", "")):
            continue
        target = page.parent / path if path else page
        headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
        assert heading in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}, link


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_functions_named_in_code_font_exist(page):
    for module, name in NAME.findall(page.read_text("utf-8")):
        if module == "minivit":
            assert hasattr(minivit, name), f"minivit.{name}"
        elif module == "model":                                         # a model, rather than the module model.py
            assert hasattr(minivit.VisionTransformer, name), f"model.{name}"
        elif (ROOT / "minivit" / f"{module}.py").exists() and name != "py":
            assert hasattr(importlib.import_module(f"minivit.{module}"), name), f"{module}.{name}"


@pytest.mark.parametrize("section", DERIVATIONS)
def test_every_section_has_its_derivation(section):
    page = (ROOT / "docs" / "derivations" / f"{section}.md").read_text("utf-8")
    assert f"`{section}.forward`" in page and f"`{section}.backward`" in page
    for part in ("## Forward", "## Backward", "## The typical mistake"):
        assert part in page, part


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=of)
def test_maths_is_what_github_renders(page):
    # GitHub reads Markdown first: a backslash before punctuation is lost there, and }_ can turn into emphasis.
    text = page.read_text("utf-8")
    blocks = re.findall(r"^\$\$\n(.*?)\n\$\$$", text, re.DOTALL | re.MULTILINE)
    assert text.count("$$") == 2 * len(blocks)
    rest = re.sub(r"^\$\$\n.*?\n\$\$$", "", text, flags=re.DOTALL | re.MULTILINE)
    inline = re.findall(r"\$([^$\n]+)\$", rest)
    assert rest.count("$") == 2 * len(inline)
    for formula in blocks + inline:
        assert not re.search(r"\\[,;!{}|*_\\]", formula), formula
        assert formula.count("{") == formula.count("}"), formula
    assert not [formula for formula in inline if "}_" in formula or "*" in formula]
