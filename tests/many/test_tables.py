"""The tables that `minivit embed` writes: values, parts, going on after a stop, and what is refused."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pyarrow_parquet
import pytest

import minivit
from minivit.commands.cli import main
from minivit.many import formats, parts
from minivit.many.embedding import embed_to
from minivit.many.rows import Row, Wanted
from tests.many.pictures import make


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "in"
    make(folder, 23, bad=(3, 20))
    return folder


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts, "ROWS", 8)


def read(path):
    """The rows of a table as dictionaries: path, error, top, representation, distance, entropy."""
    if path.suffix == ".parquet":
        return pyarrow_parquet.read_table(path).to_pylist()
    if path.suffix == ".json":
        return json.loads(path.read_text("utf-8"))
    found = []
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert None not in row and None not in row.values()          # it has as many cells as the header

            def numbers(name, row=row):
                cells = [row[key] for key in row if key.rstrip("0123456789") == name]
                return [float(cell) for cell in cells] if all(cells) and cells else None
            labels = [row[f"label{k}"] for k in range(1, 6)]
            top = [{"label": label, "probability": float(row[f"probability{k}"])}
                   for k, label in enumerate(labels, start=1)] if all(labels) else None
            found.append({"path": row["path"], "error": row["error"] or None, "top": top,
                          "representation": numbers("y"), "distance": numbers("distance"),
                          "entropy": numbers("entropy")})
    return found


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_a_table_holds_the_rows(folder, tmp_path, ending, kind):
    output = tmp_path / f"out.{ending}"
    status = main(["embed", str(folder), "-o", str(output), "--attention", "--representation", kind])
    assert status == 2 and not (tmp_path / f"out.{ending}.parts").exists()
    expected = list(minivit.embed(folder, attention=True, representation=kind))
    for ours, row in zip(read(output), expected, strict=True):
        assert ours["path"] == row.path and ours["error"] == row.error
        if row.error:
            assert ours["top"] is ours["representation"] is ours["distance"] is ours["entropy"] is None
            continue
        assert [(one["label"], one["probability"]) for one in ours["top"]] == row.top
        for name in ("representation", "distance", "entropy"):
            value = getattr(row, name)
            assert np.array_equal(np.array(ours[name], value.dtype), value)


def test_the_parquet_file_has_the_documented_schema(folder, tmp_path):
    main(["embed", str(folder), "-o", str(tmp_path / "a.parquet"), "--representation", "float16", "--attention"])
    schema = pyarrow_parquet.read_schema(tmp_path / "a.parquet")
    assert [str(field.type) for field in schema] == [
        "string", "string", "list<element: struct<label: string, probability: double>>",
        "list<element: halffloat>", "list<element: double>", "list<element: double>"]
    assert pyarrow_parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3


def test_a_run_that_is_killed_goes_on_and_ends_in_the_same_bytes(tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out.csv"
    make(folder, 60, bad=(5,))
    code = (f"import minivit.many.parts as p; p.ROWS = 8\nfrom minivit.commands.cli import main\n"
            f"import minivit.many.here as h, time\nreal = h.rows_of\n"
            f"h.rows_of = lambda *a: (time.sleep(0.15), real(*a))[1]\n"
            f"run = ['embed', {str(folder)!r}, '-o', {str(output)!r}, '--batch-size', '4', '--resume']\n"
            f"raise SystemExit(main(run))")
    place = tmp_path / "out.csv.parts"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while time.monotonic() < until and len(list(place.glob("0*.csv"))) < 2:
        time.sleep(0.02)
    process.kill() if os.name == "nt" else process.send_signal(signal.SIGKILL)
    process.wait()
    written = {path: path.stat().st_mtime_ns for path in place.glob("0*.csv")}
    assert 2 <= len(written) < 8 and not output.exists()
    end = subprocess.run([sys.executable, "-c", code.replace("time.sleep(0.15)", "0")], stderr=subprocess.PIPE)
    assert end.returncode == 2, end.stderr                               # one image has an error
    other = tmp_path / "other.csv"
    embed_to(other, folder, minivit.load(), Wanted(), batch_size=4)
    assert output.read_bytes() == other.read_bytes() and not place.exists()


def test_parts_that_are_there_are_not_computed_again(folder, tmp_path, monkeypatch):
    from minivit.many import here
    output, real, seen = tmp_path / "a.json", here.rows_of, []

    def failing(batch, *rest):
        seen.extend(place.name for place in batch)
        if len(seen) > 17:
            raise OSError("the machine is tired")
        return real(batch, *rest)

    monkeypatch.setattr(here, "rows_of", failing)
    monkeypatch.setattr(here, "thread_count", lambda: 1)
    with pytest.raises(OSError, match="tired"):
        embed_to(output, folder, minivit.load(), Wanted(), batch_size=8)
    assert len(list((tmp_path / "a.json.parts").glob("0*"))) == 2
    seen.clear()
    monkeypatch.setattr(here, "rows_of", lambda batch, *rest: seen.extend(p.name for p in batch) or real(batch, *rest))
    assert embed_to(output, folder, minivit.load(), Wanted(), batch_size=8, resume=True) == (23, 2)
    assert seen == [str(folder / f"{i:05d}.png") for i in range(16, 23)]


def stopped(folder, output, monkeypatch):
    """An unfinished run with its first part."""
    from minivit.many import here
    real = here.rows_of
    with monkeypatch.context() as m:
        m.setattr(here, "rows_of", lambda batch, *rest: 1 / 0 if "00008" in batch[0].name else real(batch, *rest))
        with pytest.raises(ZeroDivisionError):
            embed_to(output, folder, minivit.load(), Wanted(), batch_size=8)
    assert len(list(output.with_name(output.name + ".parts").glob("0*"))) == 1


def test_what_is_there_is_neither_lost_nor_mixed(tmp_path, monkeypatch, capsys):
    folder, output = tmp_path / "in", tmp_path / "a.csv"
    make(folder, 12)
    stopped(folder, output, monkeypatch)
    run = ["embed", str(folder), "-o", str(output)]
    for more, message in (([], "holds the parts of a run that was stopped"),
                          (["--resume", "--top", "3"], "had another number of classes in a row"),
                          (["--resume", "--representation", "none"], "had another representation")):
        assert main([*run, *more]) == 2
        assert message in capsys.readouterr().err
    (folder / "00000a.png").write_bytes((folder / "00000.png").read_bytes())
    assert main([*run, "--resume"]) == 2 and "the images are not those" in capsys.readouterr().err
    (folder / "00000a.png").unlink()
    for i in range(5, 12):
        (folder / f"{i:05d}.png").unlink()
    assert main([*run, "--resume"]) == 2 and "the images are not those" in capsys.readouterr().err
    assert main([*run, "--overwrite"]) == 0 and len(read(output)) == 5
    before = output.read_bytes()
    assert main(run) == 2 and "a.csv exists" in capsys.readouterr().err and output.read_bytes() == before


# A full disk: the limit on a file's size makes the system refuse to write on, as a full disk does (there ENOSPC).
FULL = """
import resource, sys
from minivit.commands.cli import main
from minivit.many import parts
parts.ROWS = 8
limit, *run = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
raise SystemExit(main(run))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("ending, what, limit", [
    ("csv", "plan.json", 100), ("csv", "000000-8-1-", 3000), ("parquet", "000000-8-1-", 3000),
    ("json", "a.json", None), ("parquet", "a.parquet", None),
], ids=lambda value: str(value))
def test_a_full_disk_is_told_and_the_run_goes_on_after_it(folder, tmp_path, ending, what, limit):
    whole, output = tmp_path / f"whole.{ending}", tmp_path / f"a.{ending}"
    place = output.with_name(output.name + ".parts")
    embed_to(whole, folder, minivit.load(), Wanted())
    output.write_bytes(b"old")
    limit = limit or whole.stat().st_size - 1                            # room for each part, not for the table
    run = ["embed", str(folder), "-o", str(output), "--overwrite"]
    end = subprocess.run([sys.executable, "-c", FULL, str(limit), *run], capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": str(Path(minivit.__file__).parents[1])})
    progress, _, told = end.stderr.rpartition("minivit:")
    assert end.returncode == 2 and end.stdout == "" and "minivit" not in progress, end.stderr
    assert told.startswith(" cannot write ") and what in told and told.count("\n") == 1
    assert told.endswith("; make room and begin again\n")
    assert output.read_bytes() == b"old"
    left = sorted(path.name.partition("-")[0] for path in place.iterdir()) if place.exists() else []
    assert left == (["000000", "000001", "000002", "plan.json"] if what == output.name else [])
    assert sorted(path.name for path in tmp_path.iterdir() if path != place) == [output.name, whole.name]
    assert main([*run, "--resume"]) == 2                                 # two images have an error
    assert output.read_bytes() == whole.read_bytes() and not place.exists()


@pytest.mark.parametrize("output, message", [
    ("a.xlsx", "does not say its format: expected a name that ends in .csv, .json or .parquet"),
    ("missing/a.csv", "there is no folder"),
    ("in.csv", "it is a folder"),
], ids=["ending", "no folder", "a folder"])
def test_outputs_that_cannot_be_are_told_before_the_work(tmp_path, capsys, output, message):
    make(tmp_path / "in", 1)
    (tmp_path / "in.csv").mkdir()
    assert main(["embed", str(tmp_path / "in"), "-o", str(tmp_path / output)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "in.csv"]


def test_nothing_stays_of_a_run_that_made_nothing(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["embed", str(tmp_path / "empty"), "-o", str(tmp_path / "a.csv")]) == 2
    assert "holds no image" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_without_pyarrow_the_line_to_install_it_is_named(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert main(["embed", str(folder), "-o", str(tmp_path / "a.parquet")]) == 2
    assert "pip install 'minivit[many]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind, bits", [("float16", np.uint16), ("float32", np.uint32)])
def test_text_holds_the_same_numbers_and_json_null_for_what_is_none(tmp_path, kind, bits):
    """Any bits: tiny numbers, NaN and infinities are among them."""
    model = minivit.load()
    with np.errstate(invalid="ignore"):
        numbers = np.random.default_rng(0).integers(0, np.iinfo(bits).max, (300, 128), bits).view(kind)
    rows = [Row(f"{i}.png", top=[("cat", float(one[0]))] * 5, representation=one) for i, one in enumerate(numbers)]
    wanted = Wanted(representation=kind)
    for ending in ("csv", "json"):
        formats.write_part(tmp_path / f"part.{ending}", ending, rows, wanted, model)
        formats.join(tmp_path / f"a.{ending}", ending, [tmp_path / f"part.{ending}"], wanted, model)
    assert not np.isfinite(numbers).all()
    for row, one in zip(read(tmp_path / "a.csv"), numbers, strict=True):
        assert np.array_equal(np.array(row["representation"], kind), one, equal_nan=True)
    expected = [[float(v) if np.isfinite(v) else None for v in one] for one in numbers]
    for row, one in zip(read(tmp_path / "a.json"), expected, strict=True):
        assert [v and float(np.array(v, kind)) for v in row["representation"]] == one
        assert row["top"] == [{"label": "cat", "probability": one[0]}] * 5


def test_names_that_a_csv_must_quote(tmp_path):
    folder = tmp_path / "in"
    make(folder, 1)
    odd = folder / 'a "b", c\u00e9.png'
    (folder / "00000.png").rename(odd)
    for ending in ("csv", "json", "parquet"):
        embed_to(tmp_path / f"a.{ending}", folder, minivit.load(), Wanted())
        assert [row["path"] for row in read(tmp_path / f"a.{ending}")] == [str(odd)]


def test_predict_writes_tables_too(folder, tmp_path, capsys):
    assert main(["predict", str(folder), "--format", "csv", "--top", "2"]) == 2
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert list(printed[0]) == ["path", "error", "label1", "probability1", "label2", "probability2"]
    assert [row["path"] for row in printed] == [str(folder / f"{i:05d}.png") for i in range(23)]
    assert main(["predict", str(folder), "--format", "json", "-o", str(tmp_path / "a.json")]) == 2
    assert [row["top"][0]["label"] for row in json.loads((tmp_path / "a.json").read_text()) if row["top"]] == [
        row["label1"] for row in printed if row["label1"]]
    assert main(["predict", str(folder), "--format", "json"]) == 2
    capsys.readouterr()
    assert main(["predict", str(folder), "--format", "parquet"]) == 2
    assert "-o" in capsys.readouterr().err
