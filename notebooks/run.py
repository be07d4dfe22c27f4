"""Run the notebooks and store their outputs: python notebooks/run.py [NAME …], such as solutions/05_attention

Each runs alone, from top to bottom, in a fresh kernel of this Python, two at a time. What differs from run to run
without meaning anything (cell timings, the kernel's version, chunks of one printed text, names and dates inside of
drawings) is not stored.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
          "language_info": {"name": "python"}}


def run(path):
    """Execute one notebook and store it. Where a cell fails, CellExecutionError is raised and nothing stored."""
    notebook = nbformat.read(path, 4)
    here = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()
    notebook.metadata = nbformat.from_dict(KERNEL)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    print(path.name, flush=True)


def joined(outputs):
    """The outputs with consecutive pieces of one stream as one."""
    whole = []
    for output in outputs:
        if whole and output.output_type == whole[-1].output_type == "stream" and output.name == whole[-1].name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def main(names):
    """Run the notebooks of these names, all by default."""
    paths = [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.rglob("[0-9][0-9]_*.ipynb"))
    os.environ["SOURCE_DATE_EPOCH"] = "0"                               # the date that a drawing says it is of
    os.environ["MATPLOTLIBRC"] = str(FOLDER / "matplotlibrc")           # names in a drawing depend on it alone
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, paths))


if __name__ == "__main__":
    main(sys.argv[1:])
