"""The tables that `minivit embed` writes: values, parts, going on after a stop, and what is refused."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pyarrow_parquet
import pytest

import minivit
from minivit import samples
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
    expected = list(minivit.embed(folder, attention=True, representation=kind, batch_size=8))       # as parts have
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


def test_parts_of_a_parquet_file_share_groups_of_rows(folder, tmp_path, monkeypatch):
    """Each group adds to what a reader holds, and parts of a large model have few rows."""
    monkeypatch.setattr(formats, "ROW_GROUP", 16)
    embed_to(tmp_path / "a.parquet", folder, minivit.load(), Wanted())
    file = pyarrow_parquet.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [16, 7]
    assert [row["path"] for row in read(tmp_path / "a.parquet")] == [str(folder / f"{i:05d}.png") for i in range(23)]


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


def stopped(folder, output, monkeypatch, **more):
    """An unfinished run with its first part."""
    from minivit.many import here
    real = here.rows_of
    with monkeypatch.context() as m:
        m.setattr(here, "rows_of", lambda batch, *rest: 1 / 0 if "00008" in batch[0].name else real(batch, *rest))
        with pytest.raises(ZeroDivisionError):
            embed_to(output, folder, minivit.load(), Wanted(), batch_size=8, **more)
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
    for more in ([], ["--resume"]):
        assert main([*run, *more]) == 2 and "a.csv exists" in capsys.readouterr().err
    assert output.read_bytes() == before


def test_files_of_others_in_the_folder_of_parts_stay(tmp_path, monkeypatch, capsys):
    folder, output = tmp_path / "in", tmp_path / "a.csv"
    make(folder, 12)
    stopped(folder, output, monkeypatch)
    place = tmp_path / "a.csv.parts"
    (place / "mine.txt").write_text("mine")
    (place / ".000001-8-0-0.csv.0a1b2c3d.part.csv").write_text("what a killed run left")
    run = ["embed", str(folder), "-o", str(output)]
    assert main([*run, "--resume", "--overwrite", "--top", "3"]) == 2
    assert "goes on with a run, and overwrite=True (on the command line --overwrite)" in capsys.readouterr().err
    assert len(list(place.glob("0*"))) == 1
    assert main([*run, "--resume"]) == 0 and len(read(output)) == 12
    assert [path.name for path in place.iterdir()] == ["mine.txt"]


def test_what_may_replace_the_output_may_still_once_it_is_resumed(tmp_path, monkeypatch):
    folder, output = tmp_path / "in", tmp_path / "a.csv"
    make(folder, 12)
    output.write_text("old")
    stopped(folder, output, monkeypatch, overwrite=True)
    assert output.read_text() == "old"
    assert main(["embed", str(folder), "-o", str(output), "--resume"]) == 0 and len(read(output)) == 12


def test_a_part_is_work_for_a_minute_whatever_the_model(monkeypatch):
    monkeypatch.undo()
    from minivit.variants import as_config

    class Model:
        def __init__(self, config):
            self.config = config

    rows = {name: parts.rows_in_part(Model(as_config(name))) for name in ("Ti/16", "B/16", "L/16", "H/14", "B/32")}
    assert rows == {"Ti/16": 1024, "B/16": 128, "L/16": 64, "H/14": 16, "B/32": 512}
    assert parts.rows_in_part(minivit.load()) == 1024
    large = Model(as_config("H/14"))
    monkeypatch.setattr(parts, "PART_MACS", 1)
    assert parts.rows_in_part(large) == 1


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
    again = "--resume" if left else "--overwrite"
    assert main([*run[:-1], again]) == 2                                 # two images have an error
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
        numbers = np.random.default_rng(0).integers(0, np.iinfo(bits).max, (300, model.config.width), bits).view(kind)
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
    names = ['a "b", c\u00e9.png', *(["line\nbreak.png", "car\rriage.png", "\r\n.png"] if os.name == "posix" else [])]
    for path, name in zip(make(folder, len(names)), names):
        path.rename(folder / name)
    packaged = minivit.load()
    labels = ["a\nb", "a\rb", "a,b", "a\r\nb", *packaged.labels[4:]]
    model = minivit.VisionTransformer(packaged.config, packaged.params, labels=labels)
    for ending in ("csv", "json", "parquet"):
        embed_to(tmp_path / f"a.{ending}", folder, model, Wanted(top=10))
        rows = read(tmp_path / f"a.{ending}")
        assert [row["path"] for row in rows] == sorted(str(folder / name) for name in names)
        if ending != "csv":
            assert {one["label"] for one in rows[0]["top"]} == set(labels)
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        assert {row[f"label{k}"] for row in csv.DictReader(file) for k in range(1, 11)} == set(labels)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have text for names")
def test_names_that_are_no_text_are_escaped(tmp_path, capsys):
    """Of files, and of classes, which are the names of folders."""
    folder = tmp_path / "in"
    make(folder, 1)[0].rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    packaged = minivit.load()
    model = minivit.VisionTransformer(packaged.config, packaged.params, labels=[os.fsdecode(b"\xe9")] * 10)
    for ending in ("csv", "json", "parquet"):
        embed_to(tmp_path / f"a.{ending}", folder, model, Wanted())
        (row,) = read(tmp_path / f"a.{ending}")
        assert row["path"] == str(folder / "caf\\udce9.png") and {one["label"] for one in row["top"]} == {"\\udce9"}
    photo = os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")
    for command in (["predict", photo], ["explain", photo, "-o", str(tmp_path / "a.png")]):
        assert main([*command, "--json", str(tmp_path / "told.json")]) == 0
        (image,) = json.loads((tmp_path / "told.json").read_text("utf-8"))["images"]
        assert image["image"] == row["path"]


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


@pytest.mark.parametrize("more", [["--format", "csv"], ["--format", "json"], ["--json"]], ids=" ".join)
def test_standard_output_has_the_names_as_they_are(tmp_path, more):
    """Whatever the terminal has: a program reads them."""
    name = "na\u00efve\u00b2\u221ax.png"
    make(tmp_path, 1)[0].rename(tmp_path / name)
    done = subprocess.run([sys.executable, "-m", "minivit", "predict", str(tmp_path / name), *more],
                          capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert done.returncode == 0 and name in done.stdout.decode("utf-8"), done.stderr
    assert done.stdout.endswith(b"\r\n" if more[-1] == "csv" else b"\n") and b"\r\r" not in done.stdout


def paths(out):
    return [row["path"] for row in csv.DictReader(out.splitlines())]


def test_predict_takes_the_same_images_as_a_table(folder, tmp_path, monkeypatch, capsys):
    """Folders beside files, standard input, and not what macOS adds."""
    make(tmp_path / "mac", 1)
    (tmp_path / "mac" / "._00000.png").write_bytes(b"resource fork")
    one, image = str(tmp_path / "mac" / "00000.png"), samples.CAT.read_bytes()
    assert main(["predict", str(tmp_path / "mac")]) == 0
    capsys.readouterr()
    for more in ([], ["-o", str(tmp_path / "a.csv")]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(image)))
        assert main(["predict", str(tmp_path / "mac"), one, "-", "--format", "csv", *more]) == 0
    out = capsys.readouterr().out.partition(str(tmp_path / "a.csv"))[0]
    assert paths(out) == [one, one, "-"] and out.encode() == (tmp_path / "a.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(image)))
    assert main(["predict", "-", "--format", "csv", "--top", "1"]) == 0
    assert paths(capsys.readouterr().out) == ["-"]


@pytest.mark.parametrize("more, message", [
    (["--format", "csv", "--json", "a.json"], "--json is for answers without a table"),
    *[(["--format", "csv", *option], f"{option[0]} is for a table in a file: give -o FILE.csv too")
      for option in (["--resume"], ["--overwrite"], ["--cluster", "local"], ["--send-files"])],
    *[(option, f"{option[0]} is for a table: give --format csv, json or parquet too")
      for option in (["--resume"], ["--overwrite"], ["--cluster", "local"], ["--send-files"], ["--batch-size", "3"])],
    (["--format", "csv", "--model", "HEADLESS"], "has no head, so no classes to name"),
    (["--model", "HEADLESS"], "has no head, so no classes to name"),
])
def test_predict_refuses_what_has_no_effect(tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.chdir(tmp_path)
    packaged = minivit.load()
    minivit.save(minivit.VisionTransformer(replace(packaged.config, num_classes=0), {
        name: value for name, value in packaged.params.items() if name != "head"}), "HEADLESS.safetensors")
    more = [one.replace("HEADLESS", "HEADLESS.safetensors") for one in more]
    assert main(["predict", str(samples.CAT), *more]) == 2
    told = capsys.readouterr()
    assert message in told.err and told.err.count("\n") == 1 and told.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["HEADLESS.safetensors"]


def test_predict_prints_nothing_of_a_table_before_its_images_are_found(tmp_path, capsys):
    assert main(["predict", str(tmp_path / "none"), "--format", "csv"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "no such file or folder" in told.err


@pytest.mark.parametrize("more", [[], ["--format", "csv"]])
def test_answers_that_are_no_numbers_are_errors(tmp_path, capsys, more):
    model = minivit.load()
    params = {name: {**model.params[name], "weight": model.params[name]["weight"] * np.float32(factor)}
              for name, factor in (("norm", 1e5), ("head", 1e38))}
    minivit.save(model.with_params({**model.params, **params}), tmp_path / "huge.safetensors")
    assert main(["predict", str(samples.CAT), "--model", str(tmp_path / "huge.safetensors"), *more]) == 2
    told = capsys.readouterr()
    assert "nan" not in told.out and "NaN or infinite: look for" in (told.out if more else told.err)
