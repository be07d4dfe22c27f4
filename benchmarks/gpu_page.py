"""Fills docs/gpu.md with what a session on a GPU found, from benchmarks/gpu_results.json, or says that there is none.

    python -m benchmarks.gpu_page        after a session's session.json was copied there
"""

import json
import textwrap
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "gpu_results.json", ROOT / "docs" / "gpu.md"
BEGIN, END = "<!-- a session's results, by benchmarks/gpu_page.py -->", "<!-- end of the results -->"
NOTHING = "**No session on a GPU is recorded here.**"


def main():
    """Write the page anew."""
    PAGE.write_text(filled(PAGE.read_text("utf-8"), results()), "utf-8")


def results():
    """The parts of the committed session, or None."""
    return json.loads(RESULTS.read_text("utf-8"))["parts"] if RESULTS.exists() else None


def filled(page, parts):
    """The page with these parts between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{text(parts)}\n{END}{rest.partition(END)[2]}"


def text(parts):
    """Markdown: where, the tests' outcomes, a table for each precision, the run's last epoch."""
    if not parts:
        return NOTHING
    lines = []
    for part in parts:
        of_machine = [line for r in part["results"] for line in r.get("machine", [])]
        name = part["name"][0].upper() + part["name"][1:]
        lines += ["", f"**{name}**, {part['began']}, {part.get('seconds', 0):.0f} s: {part['end']}"
                  + (f"; {'; '.join(of_machine)}" if of_machine else "")]
        if "note" in part:
            lines += ["", *textwrap.wrap(part["note"], 120, break_on_hyphens=False)]
        outcomes = Counter(r["outcome"] for r in part["results"] if "outcome" in r)
        if outcomes:
            lines += ["", ", ".join(f"{count} {name.lower()}" for name, count in sorted(outcomes.items()))]
            lines += [f"- {r['outcome'].lower()}: `{r['test']}`" for r in part["results"]
                      if r.get("outcome") in ("FAILED", "ERROR")]
        rows = [r for r in part["results"] if "other_milliseconds" in r]
        if rows:
            lines += ["", "| milliseconds | minivit, fused | PyTorch, or one kernel a call | ratio |"]
            lines += ["|---|---|---|---|"]
            lines += [f"| {r['what']} | {number(r['milliseconds'])} | {number(r['other_milliseconds'])} | "
                      f"{number(r['ratio'])} |" for r in rows]
        epochs = [r for r in part["results"] if "epoch" in r]
        if epochs:
            last = epochs[-1]
            lines += ["", f"{last['epoch']} epochs, at the last of them {100 * float(last['held_out_accuracy']):.1f} % "
                      f"of the held-out images and {float(last['images_per_second']):,.0f} images a second"]
    return "\n".join(lines[1:])


def number(value):
    """A figure of a table, or a dash."""
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
