"""The chapters as they go into the JupyterLite site. That site's own build is `make lite`; no browser runs here."""

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_chapter_installs_minivit_first_and_is_unchanged_otherwise(tmp_path):
    lite = runpy.run_path(str(ROOT / "lite" / "build.py"))
    lite["contents"](tmp_path)
    chapters = sorted(path.relative_to(ROOT / "notebooks")
                      for path in (ROOT / "notebooks").rglob("[0-9][0-9]_*.ipynb"))
    assert chapters == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.ipynb"))
    assert {path.parent.name for path in chapters} == {"", "solutions"}
    for path in chapters:
        before, after = (json.loads((folder / path).read_text(encoding="utf-8"))["cells"]
                         for folder in (ROOT / "notebooks", tmp_path))
        assert after[0]["source"][0].startswith("%pip install -q minivit")
        assert [(cell["cell_type"], cell["source"]) for cell in after[1:]] == \
            [(cell["cell_type"], cell["source"]) for cell in before]
        assert not any(cell.get("outputs") for cell in after)
    assert list((tmp_path / "pictures").glob("*.png")) and list((tmp_path / "recorded").glob("*.npz"))
