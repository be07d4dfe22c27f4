"""What report.py writes with: tables, medians with their spread, and a page whose marked parts are replaced."""

import re

from .summary import with_spread


def filled(text, name, part):
    """The text with a part put between its marks. Raises ValueError where they are not there once."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the page must have <!-- {name} --> and <!-- /{name} --> once, around the generated part")
    return pattern.sub(lambda marks: f"{marks[1]}{part}\n{marks[2]}", text)


def table(heads, rows):
    """A Markdown table; all columns but the first are set to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def names(rows):
    """The libraries of these rows, minivit first."""
    found = dict.fromkeys(name for row in rows for name in row["results"])
    return sorted(found, key=lambda name: (not name.startswith("minivit"), name == "matrix products alone"))


def samples(row, name):
    """A library's samples in a row, or none."""
    return row["results"].get(name, {}).get("seconds", [])


def spread(values):
    """Median and quartiles, or a dash."""
    return with_spread(values) if values else "–"


def turns(samples):
    """Of how many turns the medians of these samples are, in a sentence."""
    counts = sorted({len(values) for values in samples} - {0})
    if not counts:
        return "Nothing could be measured."
    return f"Turns behind each median: {counts[0]}{f' to {counts[-1]}' if len(counts) > 1 else ''}."
