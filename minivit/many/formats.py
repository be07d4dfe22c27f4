"""Rows as files: CSV, JSON or Parquet, in parts that are joined to one file.

    column             in Parquet                              in CSV
    path               string                                  path
    error              string, null where the image was read   error
    top                list of {label, probability}            label1, probability1, label2, ...
    representation     list of D halffloat or float            y0, y1, ... y(D-1)
    distance, entropy  list of L double: pixels, nats          distance0, ..., entropy0, ...

A JSON file is an array of objects with the columns as Parquet has them, an object on each line. A column that nobody
asked for is in none of them.
"""

import csv
import io
import json
import math
import re
import shutil

import numpy as np

FORMATS = ("csv", "json", "parquet")
DIGITS = {"float16": 5, "float32": 9, "float64": 17}     # 1 + ⌈p log₁₀ 2⌉ for p bits: they tell any two apart
_json = json.JSONEncoder(ensure_ascii=False).encode
# Labels come again and again. Looking for repetitions among numbers takes longer than writing them.
REPEATED = ["error", "top.list.element.label"]
ROW_GROUP = 1024                                         # rows at least: each group adds to what a reader holds
NOT_FINITE = re.compile("-?(nan|inf)")                   # as Python writes them, and JSON has no word for them


def format_of(path):
    """The format that a path's ending names. Raises ValueError."""
    ending = str(path).rpartition(".")[2].lower()
    if ending not in FORMATS:
        raise ValueError(f"{path} does not say its format: expected a name that ends in .csv, .json or .parquet")
    return ending


def needs_pyarrow():
    """pyarrow. Raises RuntimeError that says how to install it."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise RuntimeError("Parquet files need pyarrow, which is not installed: pip install 'minivit[many]', "
                           "or write .csv or .json") from None
    return pyarrow


def columns(wanted, model):
    """{name: length} of the columns besides path and error: classes, D features, or L layers."""
    K, L = model.config.num_classes, model.config.num_layers
    found = {}
    if wanted.top and K:
        found["top"] = min(wanted.top, K)
    if wanted.representation:
        found["representation"] = model.config.width
    if wanted.attention:
        found |= {"distance": L, "entropy": L}
    return found


def write_part(path, form, rows, wanted, model):
    """Write rows to a file that `join` takes."""
    if form == "parquet":
        pyarrow = needs_pyarrow()
        pyarrow.parquet.write_table(table(rows, wanted, model), path, use_dictionary=REPEATED)
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        for line in lines(form, rows, wanted, model):
            file.write(line)


def lines(form, rows, wanted, model):
    """Yields the rows as text, a line each, as they stand inside of a CSV or JSON file."""
    for row in rows:
        yield _csv_line(row, wanted, model) if form == "csv" else _json_line(row, wanted, model) + "\n"


def join(path, form, parts, wanted, model):
    """One file of all parts, in their order, with little of it in memory at a time."""
    if form == "parquet":
        pyarrow = needs_pyarrow()
        with pyarrow.parquet.ParquetWriter(path, schema(wanted, model), use_dictionary=REPEATED) as writer:
            tables = []
            for part in parts:
                with pyarrow.parquet.ParquetFile(part) as rows:
                    tables.append(rows.read())
                if sum(map(len, tables)) >= ROW_GROUP or part == parts[-1]:
                    writer.write_table(pyarrow.concat_tables(tables))
                    tables = []
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        if form == "csv":
            file.write(csv_header(wanted, model))
            for part in parts:
                with open(part, encoding="utf-8", newline="") as rows:
                    shutil.copyfileobj(rows, file)
            return
        before = "[\n"
        for part in parts:
            with open(part, encoding="utf-8") as rows:
                for row in rows:
                    file.write(before + row.rstrip("\n"))
                    before = ",\n"
        file.write("\n]\n" if before == ",\n" else "[]\n")


def printed(rows, form, wanted, model):
    """Yields (row, text) whose texts one after another are what a CSV or JSON file would hold; the first has no row."""
    if form == "csv":
        yield None, csv_header(wanted, model)
        for row in rows:
            yield row, _csv_line(row, wanted, model)
        return
    before = "[\n"
    for row in rows:
        yield row, before + _json_line(row, wanted, model)
        before = ",\n"
    yield None, "\n]\n" if before == ",\n" else "[]\n"


def schema(wanted, model):
    """The pyarrow schema of the table above."""
    arrow, types = needs_pyarrow(), []
    for name in columns(wanted, model):
        if name == "top":
            kind = arrow.list_(arrow.struct([("label", arrow.string()), ("probability", arrow.float64())]))
        elif name == "representation":
            # Not of fixed length: pyarrow below 26 cannot read such lists where one is missing.
            kind = arrow.list_(arrow.float16() if wanted.representation == "float16" else arrow.float32())
        else:
            kind = arrow.list_(arrow.float64())
        types.append((name, kind))
    return arrow.schema([("path", arrow.string()), ("error", arrow.string()), *types])


def table(rows, wanted, model):
    """The rows as a pyarrow table."""
    arrow, whole = needs_pyarrow(), schema(wanted, model)
    values = {"path": [row.path for row in rows], "error": [row.error for row in rows]}
    for name in columns(wanted, model):
        found = [getattr(row, name) for row in rows]
        if name == "top":
            found = [top and [{"label": label, "probability": p} for label, p in top] for top in found]
        values[name] = found
    return arrow.table({name: arrow.array(values[name], whole.field(name).type) for name in whole.names}, whole)


def csv_header(wanted, model):
    """The first line of a CSV file."""
    names = ["path", "error"]
    for name, length in columns(wanted, model).items():
        if name == "top":
            names += [f"{what}{k}" for k in range(1, length + 1) for what in ("label", "probability")]
        else:
            names += [f"{'y' if name == 'representation' else name}{i}" for i in range(length)]
    return _joined(names)


def _csv_line(row, wanted, model):
    cells, numbers = [row.path, row.error or ""], ""
    for name, length in columns(wanted, model).items():                 # top, the only texts among them, is the first
        value = getattr(row, name)
        if name == "top":
            cells += [cell for label, p in value for cell in (label, repr(p))] if value else [""] * (2 * length)
        else:
            numbers += "," + ("," * (length - 1) if value is None else _numbers(value, ","))
    return _joined(cells, numbers)


def _joined(cells, numbers=""):
    """A line of CSV. numbers: what follows the cells on it as it is, since no number needs quotes."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)                                    # it ends in \r\n, so it quotes cells with them
    return line.getvalue()[:-2] + numbers + "\r\n"


def _json_line(row, wanted, model):
    """A row as JSON has it; null for what is no number."""
    found = {"path": _json(row.path), "error": _json(row.error)}
    for name in columns(wanted, model):
        value = getattr(row, name)
        if isinstance(value, np.ndarray):
            found[name] = f"[{NOT_FINITE.sub('null', _numbers(value, ', '))}]"
        else:
            found[name] = _json(value and [{"label": label, "probability": p if math.isfinite(p) else None}
                                           for label, p in value])
    return "{" + ", ".join(f'"{name}": {text}' for name, text in found.items()) + "}"


def _numbers(value, between):
    """An array's numbers as text, each with the digits that tell it from its neighbours: all in one step, as rows have
    hundreds of them.
    """
    return between.join([f"%.{DIGITS[value.dtype.name]}g"] * len(value)) % tuple(value.tolist())
