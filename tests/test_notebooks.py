"""The notebooks as files: executed, of bearable size, exercises solved, and their outputs really compared.

Whether the outputs are right is nbval's part (`make test-notebooks`); here is whether nbval would notice.
"""

import base64
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
SOLUTIONS = sorted((FOLDER / "solutions").glob("[0-9][0-9]_*.ipynb"))
SANITIZER = FOLDER / "nbval_sanitize.cfg"
LARGEST_FIGURE, LARGEST_FOLDER = 400_000, 25_000_000

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_file = pytest.mark.parametrize("path", NOTEBOOKS + SOLUTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}")


def cells(path, kind="code"):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == kind]


def printed(cell):
    """What a cell prints, less its error stream."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def is_ignored(cell):
    """Whether nbval is told to skip the comparison of a cell."""
    return "NBVAL_IGNORE_OUTPUT" in cell.source or "nbval-ignore-output" in cell.metadata.get("tags", [])


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS[:5]] == ["00_tour", "01_receptive_field", "02_patches", "03_cls_token",
                                                     "04_positions"]


@each_file
def test_executed_from_top_to_bottom_without_errors(path):
    code = cells(path)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr" or output.text.startswith("minivit: "), output.text


@each_file
def test_figures_are_small_enough(path):
    for cell in cells(path):
        for output in cell.outputs:
            data = output.get("data", {})
            size = len(base64.b64decode(data.get("image/png", ""))) + len(data.get("image/svg+xml", ""))
            assert size <= LARGEST_FIGURE, f"{size:,} bytes are drawn by {cell.source}"


def test_the_folder_is_small_enough():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= LARGEST_FOLDER


def exercises(path):
    """{"1": the cells of exercise 1, …}, the heading first."""
    all_cells = nbformat.read(path, 4).cells
    headings = [(i, re.search(r"^### Exercise (\d)", cell.source, re.MULTILINE)) for i, cell in enumerate(all_cells)
                if cell.cell_type == "markdown"]
    starts = [(i, found[1]) for i, found in headings if found]
    ends = [i for i, _ in starts[1:]] + [len(all_cells)]
    return {number: all_cells[start:end] for (start, number), end in zip(starts, ends)}


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)
def test_each_exercise_begins_with_a_cell_to_fill_in_and_is_solved_elsewhere(solution):
    path = FOLDER / solution.name
    asked, solved = exercises(path), exercises(solution)
    assert 2 <= len(asked) <= 4 and list(asked) == list(solved)
    assert f"](solutions/{path.name})" in path.read_text(encoding="utf-8")
    assert f"](../{path.name})" in solution.read_text(encoding="utf-8")
    for number, (heading, *rest) in asked.items():
        starters = [cell for cell in rest if cell.cell_type == "code"]
        assert starters and any("..." in cell.source for cell in starters), heading.source
        assert any("nothing" in printed(cell) for cell in starters), "an exercise not begun is no error"
        assert any(printed(cell) for cell in solved[number][1:] if cell.cell_type == "code"), "a solution prints"


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if not (FOLDER / "solutions" / path.name).exists()],
                         ids=lambda path: path.stem)
def test_each_exercise_has_its_solution_in_the_chapter(path):
    for heading, *rest in exercises(path).values():
        solutions = [cell for cell in rest if "hide-cell" in cell.metadata.get("tags", [])]
        assert len(solutions) == 1 and solutions[0].metadata.jupyter.source_hidden is True, heading.source
        assert printed(solutions[0]), "a solution prints its verdict"


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)
def test_differences_are_printed_instead_of_true(solution):
    count = sum(len(re.findall(r"\bTrue\b", printed(cell))) for path in (FOLDER / solution.name, solution)
                for cell in cells(path) if "# minivit/" not in printed(cell))
    assert count <= 3


@each_notebook
def test_reads_like_a_chapter(path):
    text = [cell.source for cell in cells(path, "markdown")]
    assert text[0].startswith(f"# {path.stem[:2]} · ") and "**Question.**" in text[0]
    assert text[-1].lstrip().startswith("## Where to go next")
    assert any("show_source" in cell.source for cell in cells(path)), "the package's own code, from its source"


@each_file
def test_links_lead_somewhere(path):
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@each_file
def test_says_nothing_of_the_machine_it_ran_on(path):
    notebook = nbformat.read(path, 4)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert not re.search(r"/(tmp|home|work|root|usr)/", path.read_text(encoding="utf-8"))


@each_file
def test_only_times_and_memory_are_not_compared(path):
    for cell in cells(path):
        if is_ignored(cell):
            assert re.search(r"\d ?(ns|µs|ms|s|minutes|[kMG]i?B)\b", printed(cell)), cell.source


def tampered(text):
    """The text with the last digit of one number changed, or None if nothing in it is a number.

    The number in the middle is taken, from those that are not glued to letters.
    """
    numbers = list(re.finditer(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", text))
    if not numbers:
        return None
    place = numbers[len(numbers) // 2].end() - 1
    return text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1:]


def stored(text, claimed):
    """A cell that prints `text`, and whose stored output claims that it printed `claimed`."""
    cell = new_code_cell(f"print({text!r}, end='')", execution_count=1)
    cell.outputs = [new_output("stream", name="stdout", text=claimed)]
    return cell


def test_nbval_sees_one_changed_number_in_each_notebook(tmp_path):
    """One kernel prints what each notebook printed; nbval compares it with that text, and with it changed."""
    honest, changed = new_notebook(), new_notebook()
    for path in NOTEBOOKS:
        texts = [printed(cell) for cell in cells(path) if not is_ignored(cell)]
        text = next((text for text in texts if tampered(text) and not text.startswith("# minivit")), None)
        assert text, f"{path.name} prints no number that is compared"
        honest.cells.append(stored(text, text))
        changed.cells.append(stored(text, tampered(text)))
    for name, notebook in (("honest", honest), ("changed", changed)):
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env",
               "--nbval-sanitize-with", str(SANITIZER), str(tmp_path)]
    report = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=tmp_path).stdout
    assert f"{len(NOTEBOOKS)} failed, {len(NOTEBOOKS)} passed" in report, report[-3000:]
    assert len(re.findall(r"^FAILED .*changed\.ipynb::", report, re.MULTILINE)) == len(NOTEBOOKS), report[-3000:]


def sanitized(text):
    """The text as nbval compares it."""
    parts = re.findall(r"^regex: (.*)\nreplace: (.*)$", SANITIZER.read_text(encoding="utf-8"), re.MULTILINE)
    for pattern, replacement in parts:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize("text", ["<object at 0x7f3a5c0d1e20>", "/home/you/minivit/notebooks", "1.25 s", "310 ms"])
def test_the_sanitizer_takes_addresses_paths_and_times(text):
    assert not re.search(r"\d|you", sanitized(text))


@pytest.mark.parametrize("text", ["2.2e-16", "0.0e+00", "0e+00", "9.99e-13", "-1e-15", "5.0e-324",
                                  '<?xml version="1.0"?>\n<svg width="3"><path d="M 1 2"/></svg>'])
def test_the_sanitizer_takes_rounding_and_drawings(text):
    assert not re.search(r"\d", sanitized(text))


@pytest.mark.parametrize("text", ["0.125", "65 tokens", "1/2 + 3/4", "minivit/vit.py", "docs/derivations/mlp.md",
                                  "[-0.1  0.25]", "3 samples", "12 seen", "86,567,656", "1e-12", "4 × 4", "5 MiB",
                                  "relative difference 1.0e-09", "2.0e-12", "0.0", "0e+01", "largest 9.9e+00"])
def test_the_sanitizer_leaves_everything_else(text):
    assert sanitized(text) == text


@each_notebook
def test_the_table_of_contents_has_a_line_and_a_small_picture(path):
    contents = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"]({path.name})" in contents and f'src="pictures/{path.stem}.png"' in contents
    assert 0 < (FOLDER / "pictures" / f"{path.stem}.png").stat().st_size <= LARGEST_FIGURE
