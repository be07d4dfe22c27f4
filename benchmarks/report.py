"""The measurements as Markdown: python -m benchmarks.report FILE.json fills the generated parts of the page.

The page is docs/performance.md. A part is between <!-- name --> and <!-- /name -->; what is written around it stays.
"""

import json
import re
import sys
from pathlib import Path

from minivit.checkpoints.atomic import replacing

from .breakdown import ORDER as PARTS_IN_ORDER
from .summary import in_words, ratio
from .tables import filled, names, samples, spread, table, turns

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "pictures"
RESULTS = ROOT / "benchmarks" / "results"


def slug(processor):
    """The name of a processor's file of results: "AMD EPYC" -> "amd-epyc"."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", "", processor.lower())).strip("-")


def write(results, page=PAGE, pictures=PICTURES, folder=RESULTS):
    """Put every part for which there are measurements into the page, and draw the growth pictures.

    The page shows these results whole, and of every file in `folder` how minivit stands beside timm.
    """
    parts = {"machine": machine(results)}
    every = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    if any(one.get("table") for one in every):
        parts["processors"] = processors(every)
    for name, make in (("table", speed), ("growth", growth), ("load", load), ("startup", start_up),
                       ("breakdown", breakdown)):
        if results.get(name):
            parts[name] = make(results)
    if results.get("table"):
        parts["memory"] = memory(results)
    if results.get("growth"):
        from .plots import growth_memory_figure, growth_time_figure
        growth_time_figure(results["growth"]).savefig(pictures / "growth_time.png")
        growth_memory_figure(results["growth"]).savefig(pictures / "growth_memory.png")
    text = page.read_text("utf-8")
    for name, part in parts.items():
        text = filled(text, name, part)
    with replacing(page) as temporary:
        temporary.write_text(text, "utf-8")


def machine(results):
    """Where and with what."""
    about = results["machine"]
    rates = "; ".join(f"{kernel} {rate / 1e9:.0f} GFLOP/s" for kernel, rate in results["kernel_rates"].items())
    in_use, own = about["blas"]["kernel"], results["own_kernel"]
    choice = ("OpenBLAS takes it by itself on this processor, so that there is no other default to measure"
              if in_use == own else f"left alone, OpenBLAS takes {own}")
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items() if version)
    lines = [f"- {about['date']}, {about['processor']}, {about['system']}: {about['cores']} cores, "
             f"{results['threads']} used by each library; float32.",
             f"- minivit {about['minivit']} on Python {about['python']} and NumPy {about['numpy']} with "
             f"{about['blas']['name']} {about['blas']['version']}, kernel {in_use}: {choice}. Measured: {rates}.",
             f"- {versions}."]
    lines += [f"- Not measured: {name}, for want of {', '.join(lacks)}." for name, lacks in results["missing"].items()]
    return "\n".join(lines)


def speed(results):
    """Two tables, seconds and ratios, and what has no figures."""
    rows = results["table"]
    columns = names(rows)
    seconds = table(["median (quartiles)", *columns],
                    [[row["title"], *[spread(samples(row, name)) for name in columns]] for row in rows])
    others = [name for name in columns if name != "minivit"]
    ratios = table(["minivit's time / that of", *others],
                   [[row["title"], *[_ratio(row, name) for name in others]] for row in rows])
    taken = turns(samples(row, name) for row in rows for name in columns)
    return f"{seconds}\n\n{ratios}\n\n{taken} {agreement(rows)}"


def processors(every):
    """A column a processor: minivit's time over timm's in each row of the table."""
    every = [results for results in every if results.get("table")]
    titles = dict.fromkeys(row["title"] for results in every for row in results["table"])
    rows = [{row["title"]: row for row in results["table"]} for results in every]
    return table(["minivit's time / timm's", *[f"{results['machine']['processor']}, {results['machine']['date']}, "
                                               f"{results['threads']} cores" for results in every]],
                 [[title, *[_ratio(of[title], "timm") if title in of else "–" for of in rows]] for title in titles])


def _ratio(row, name):
    both = samples(row, "minivit"), samples(row, name)
    return f"{ratio(*both):.2f}" if all(both) else "–"


def agreement(rows):
    """How far the outputs were apart, and which libraries have no figures and why."""
    errors = [error for row in rows for result in row["results"].values()
              for error in result.get("errors", {}).values()]
    lines = [f"Outputs compared before timing: relative error at most {max(errors, default=0):.1e}."]
    lines += [f"No figures for {name} in “{row['title']}”: {result['why']}." for row in rows
              for name, result in row["results"].items() if "why" in result]
    return "\n".join(lines)


def memory(results):
    """Peak resident size beyond the loaded weights."""
    rows = [*results["table"], *[row for row in results.get("growth", []) if row["side"] > 224]]
    columns = names(rows)
    return table(["peak beyond the weights, MB", *columns],
                 [[row["title"] if row in results["table"] else f"B/16 forward, 1 image of {row['side']} pixels",
                   *[_megabytes(row["results"].get(name, {})) for name in columns]] for row in rows])


def _megabytes(result):
    peak = result.get("peak_bytes")
    return "–" if peak is None else f"{peak / 1e6:.0f}"


def growth(results):
    """Medians over the side, and the two pictures."""
    rows = results["growth"]
    columns = names(rows)
    seconds = table(["side, pixels", "turns", *columns],
                    [[str(row["side"]), str(max(len(samples(row, name)) for name in columns)),
                      *[spread(samples(row, name)) for name in columns]] for row in rows])
    return (f"{seconds}\n\n![Seconds of one image over its side](pictures/growth_time.png)\n\n"
            "![Peak memory of one image over its side](pictures/growth_memory.png)")


def load(results):
    """Seconds of reading the weights of B/16."""
    row = results["load"]
    columns = names([row])
    seconds = table(["B/16 from a file", *columns],
                    [["median (quartiles)", *[spread(samples(row, name)) for name in columns]]])
    return f"{seconds}\n\n{turns(samples(row, name) for name in columns)}"


def start_up(results):
    """Seconds of whole processes."""
    seconds = table(["program", "median (quartiles)"],
                    [[f"`{name}`", spread(values)] for name, values in results["startup"].items()])
    return f"{seconds}\n\n{turns(results['startup'].values())}"


def breakdown(results):
    """Where the time of one core goes: a column a case."""
    cases = results["breakdown"]
    rows = [[part, *[_share(case["parts"], part) for case in cases]]
            for part in PARTS_IN_ORDER if any(part in case["parts"] for case in cases)]
    rows.append(["**in all**", *[in_words(sum(case["parts"].values())) for case in cases]])
    rows.append(["the same products alone", *[spread(case["products"].get("seconds", [])) for case in cases]])
    parts = table(["one core", *[case["title"] for case in cases]], rows)
    return f"{parts}\n\n{turns(case['products'].get('seconds', []) for case in cases)}"


def _share(parts, part):
    if part not in parts:
        return "–"
    return f"{in_words(parts[part])}, {100 * parts[part] / sum(parts.values()):.0f} %"


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).exists():
        sys.exit(f"report: give one of the files that make bench writes into {RESULTS}: "
                 f"{', '.join(sorted(path.name for path in RESULTS.glob('*.json')))}")
    write(json.loads(Path(sys.argv[1]).read_text("utf-8")))
