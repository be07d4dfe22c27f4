"""Chapter 16 and its page say the same of what has run on a GPU, and of how many kernels a pass is."""

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
CELLS = nbformat.read(ROOT / "notebooks" / "16_gpu.ipynb", 4).cells
PRINTED = "\n".join(output.text for cell in CELLS if cell.cell_type == "code" for output in cell.outputs
                    if output.output_type == "stream")


def test_the_first_cell_says_what_has_run_on_a_gpu():
    recorded = (ROOT / "benchmarks" / "gpu_results.json").exists()
    assert ("What has run on a GPU: nothing yet." in CELLS[0].source) == (not recorded)
    assert f"a session on a GPU is recorded: {'gpu_results.json' if recorded else 'none'}" in PRINTED


def test_the_kernels_are_those_of_the_page():
    page = (ROOT / "docs" / "gpu.md").read_text("utf-8")
    calls, fused = re.search(r"^\| forward pass \| (\d+) \| (\d+) \|$", page, re.MULTILINE).groups()
    assert re.search(rf"B/16 +one per NumPy call: {calls} kernels, .*; fused: {fused},", PRINTED)
